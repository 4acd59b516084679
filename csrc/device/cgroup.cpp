#include "device/cgroup.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace cnnx {
namespace {

// A hierarchy of groups that limits CPUs: that of version 2, or the one of version 1 with the controller "cpu".
enum class Version { kOne, kTwo };

// Where a hierarchy can be read: the group `top` and those below it lie in the folder `folder`.
struct Mount {
  Version version;
  std::string top, folder;
};

bool lists(std::string_view names, std::string_view name) {
  while (!names.empty()) {
    const size_t comma = std::min(names.find(','), names.size());
    if (names.substr(0, comma) == name) return true;
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  return false;
}

// Spaces and the like stand as \040 in mountinfo.
std::string unescaped(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && text.find_first_not_of("01234567", i + 1) >= i + 4 && i + 4 <= text.size();
    result += escape ? static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)) : text[i];
    if (escape) i += 3;
  }
  return result;
}

// Lines such as "31 23 0:28 /top /folder rw,relatime shared:7 - cgroup2 source rw,cpu".
std::vector<Mount> mounts_of(const std::string& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word, top, folder, type, source, options;
    words >> word >> word >> word >> top >> folder;
    while (words >> word && word != "-") {}
    words >> type >> source >> options;
    if (type == "cgroup2") mounts.push_back({Version::kTwo, unescaped(top), unescaped(folder)});
    if (type == "cgroup" && lists(options, "cpu")) mounts.push_back({Version::kOne, unescaped(top), unescaped(folder)});
  }
  // Where they always are, for a mountinfo that does not tell: of a sandbox, or hidden under another mount.
  mounts.push_back({Version::kTwo, "/", "/sys/fs/cgroup"});
  mounts.push_back({Version::kOne, "/", "/sys/fs/cgroup/cpu"});
  return mounts;
}

// The CPUs of one group's quota; infinity without one.
double quota_in(Version version, const std::string& folder) {
  double quota = 0, period = 0;
  if (version == Version::kTwo) {
    std::ifstream(folder + "/cpu.max") >> quota >> period;  // "max 100000" is no number, and leaves 0
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;  // -1: none
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

// The group's path below a mount's top, such as "/a/b" or ""; nothing where it is not below, as with a mount of another
// container's groups, or for a process whose group ("/../a") lies outside its namespace.
std::optional<std::string> below(const std::string& top, const std::string& group) {
  const std::string prefix = top == "/" ? "" : top;
  const bool starts = group.compare(0, prefix.size(), prefix) == 0;
  if (!starts || (group + "/")[prefix.size()] != '/' || (group + "/").find("/../") != std::string::npos) return {};
  std::string path = group.substr(prefix.size());
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}

// This process's groups: lines such as "0::/group" for version 2, "4:cpu,cpuacct:/group" for version 1.
std::vector<std::pair<Version, std::string>> groups_of(const std::string& root) {
  std::vector<std::pair<Version, std::string>> groups;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) groups.emplace_back(Version::kTwo, group);
    if (lists(controllers, "cpu")) groups.emplace_back(Version::kOne, group);
  }
  if (groups.empty()) groups = {{Version::kTwo, "/"}, {Version::kOne, "/"}};  // a sandbox that does not tell
  return groups;
}

}  // namespace

int cgroup_cpus(const std::string& root) {
  double cpus = INFINITY;
  const std::vector<Mount> mounts = mounts_of(root);
  for (const auto& [version, group] : groups_of(root)) {
    for (const Mount& mount : mounts) {
      std::optional<std::string> path = below(mount.top, group);
      if (mount.version != version || !path) continue;
      cpus = std::min(cpus, quota_in(version, root + mount.folder));
      for (; !path->empty(); path->erase(path->rfind('/'))) cpus = std::min(cpus, quota_in(version, root + mount.folder + *path));
    }
  }
  return std::isinf(cpus) ? 0 : static_cast<int>(std::clamp(std::ceil(cpus), 1.0, 1e6));
}

}  // namespace cnnx
