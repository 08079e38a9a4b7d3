"""Published layouts of data sets, each read into the examples of its task."""
