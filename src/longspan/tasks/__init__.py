"""What a task is: read its rows, find and score its passages. Knows no model."""
