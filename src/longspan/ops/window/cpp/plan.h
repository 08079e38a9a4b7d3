// Which keys each group of six queries reads. It is the same for all heads, so it is found once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernel.h"

namespace longspan {

// Six neighbouring queries of which at least one sees a key.
struct Group {
  int64_t query, count;             // the first, and how many (fewer than six at the end of the row)
  int64_t reach_first, reach_last;  // positions [first, last) of the window, whatever the documents
  int64_t first, last;              // the same without the ends that no query of the group sees
  bool uniform;                     // all of these keys and queries are of one document
};

// The window over a flat row: query i sees the keys of its own id >= 0 at [i - left + offset, i + right + offset].
struct Plan {
  int64_t left, right, offset;
  int64_t queries, keys;  // how many
  const int64_t *query_ids, *key_ids;
  std::vector<Group> groups;   // in order
  std::vector<Group> skipped;  // those without a query that sees a key

  int64_t first_of(int64_t query) const { return std::clamp(query - left + offset, int64_t{0}, keys); }
  int64_t last_of(int64_t query) const { return std::clamp(query + right + offset + 1, int64_t{0}, keys); }

  void find_groups() {
    std::vector<int64_t> starts;  // of the runs of keys with one id
    for (int64_t j = 0; j < keys; ++j)
      if (j == 0 || key_ids[j] != key_ids[j - 1]) starts.push_back(j);
    starts.push_back(keys);
    for (int64_t query = 0; query < queries; query += kRows) {
      Group group{};
      group.query = query;
      group.count = std::min<int64_t>(kRows, queries - query);
      group.reach_first = group.first = first_of(query);
      group.reach_last = group.last = last_of(query + group.count - 1);
      narrow(group, starts);
      (group.first < group.last ? groups : skipped).push_back(group);
    }
  }

 private:
  void narrow(Group& group, const std::vector<int64_t>& starts) const {
    if (group.first >= group.last) return;
    const int64_t *ids = query_ids + group.query, *end = ids + group.count;
    const auto asked = [&](int64_t id) { return id >= 0 && std::find(ids, end, id) != end; };
    const auto run_of = [&](int64_t key) {
      return std::upper_bound(starts.begin(), starts.end(), key) - starts.begin() - 1;
    };
    int64_t run = run_of(group.first);
    while (group.first < group.last && !asked(key_ids[group.first])) group.first = starts[++run];
    if (group.first >= group.last) return;
    int64_t last_run = run_of(group.last - 1);
    while (!asked(key_ids[group.last - 1])) group.last = starts[last_run--];
    group.uniform = run == last_run && std::all_of(ids, end, [&](int64_t id) { return id == *ids; });
  }
};

}  // namespace longspan
