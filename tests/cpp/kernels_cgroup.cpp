// CPU quotas of control groups, read from folders that stand for a file system.
#include "device/cgroup.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "harness.h"

namespace cnnx::test {
namespace {

namespace fs = std::filesystem;

// A folder with these files, {path, text}; it is removed with this.
class Root {
 public:
  explicit Root(std::initializer_list<std::pair<std::string, std::string>> files) {
    std::string name = (fs::temp_directory_path() / "cnnx-cgroup-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    for (const auto& [path, text] : files) {
      fs::create_directories(fs::path(name + path).parent_path());
      std::ofstream(name + path) << text;
    }
  }
  ~Root() { fs::remove_all(folder_); }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  int cpus() const { return cgroup_cpus(folder_.string()); }

 private:
  fs::path folder_;
};

const char* const kV2 = "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const char* const kV1 =
    "31 20 0:27 / /sys/fs/cgroup ro shared:4 - tmpfs tmpfs ro,mode=755\n"
    "32 31 0:28 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory\n"
    "33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 master:2 - cgroup cgroup rw,cpu,cpuacct\n";

}  // namespace

TEST_CASE("cgroup_cpus: version 2") {
  const std::string mounts = "/proc/self/mountinfo", groups = "/proc/self/cgroup", top = "/sys/fs/cgroup";
  SUBCASE("the group that /proc names, not the top alone") {
    CHECK(
        Root({{mounts, kV2}, {groups, "0::/user.slice/run.scope\n"}, {top + "/user.slice/run.scope/cpu.max", "100000 100000\n"}})
            .cpus() == 1);
  }
  SUBCASE("the least of the group and those around it, rounded up") {
    CHECK(Root({{mounts, kV2},
                {groups, "0::/a/b/c\n"},
                {top + "/a/b/c/cpu.max", "max 100000\n"},
                {top + "/a/b/cpu.max", "600000 100000\n"},
                {top + "/a/cpu.max", "250000 100000\n"},
                {top + "/a/other/cpu.max", "100000 100000\n"},
                {top + "/a/b/c/below/cpu.max", "100000 100000\n"}})
              .cpus() == 3);
  }
  SUBCASE("a fraction of one is one") {
    CHECK(Root({{mounts, kV2}, {groups, "0::/\n"}, {top + "/cpu.max", "1000 100000\n"}}).cpus() == 1);
  }
  SUBCASE("none") {
    CHECK(Root({{mounts, kV2}, {groups, "0::/a\n"}, {top + "/a/cpu.max", "max 100000\n"}}).cpus() == 0);
    CHECK(Root({{mounts, kV2}, {groups, "0::/a\n"}}).cpus() == 0);
    CHECK(Root({}).cpus() == 0);
  }
  SUBCASE("a namespace of groups: the container's own is the top") {
    CHECK(Root({{mounts, kV2}, {groups, "0::/\n"}, {top + "/cpu.max", "150000 100000\n"}}).cpus() == 2);
  }
  SUBCASE("a container without one: its group is mounted alone, and it has one below it") {
    CHECK(Root({{mounts, "30 20 0:26 /docker/12ab /sys/fs/cgroup ro - cgroup2 cgroup rw\n"},
                {groups, "0::/docker/12ab/worker\n"},
                {top + "/worker/cpu.max", "400000 100000\n"},
                {top + "/cpu.max", "200000 100000\n"}})
              .cpus() == 2);
  }
  SUBCASE("another container's groups are not ours, nor is a namespace that we are outside of") {
    CHECK(Root({{mounts, "30 20 0:26 /docker/12 /mnt/theirs ro - cgroup2 cgroup rw\n"},
                {groups, "0::/docker/12ab\n"},
                {"/mnt/theirs/cpu.max", "100000 100000\n"}})
              .cpus() == 0);
    CHECK(Root({{mounts, kV2}, {groups, "0::/../a\n"}, {top + "/cpu.max", "100000 100000\n"}}).cpus() == 0);
  }
  SUBCASE("mounted elsewhere, under a name with a space") {
    CHECK(Root({{mounts, "30 20 0:26 / /mnt/my\\040groups rw - cgroup2 none rw\n"},
                {groups, "0::/a:b\n"},
                {"/mnt/my groups/a:b/cpu.max", "100000 50000\n"}})
              .cpus() == 2);
  }
  SUBCASE("a sandbox that tells neither mounts nor groups") {
    CHECK(Root({{top + "/cpu.max", "300000 100000\n"}}).cpus() == 3);
    CHECK(Root({{groups, "0::/a\n"}, {top + "/a/cpu.max", "300000 100000\n"}}).cpus() == 3);
  }
  SUBCASE("what is no such file is passed over") {
    CHECK(Root({{mounts, "30\n\n- - -\n30 20 0:26 / \\0 rw - cgroup2\n"}, {groups, "\nx\n0:\n0::\n"}, {top + "/cpu.max", "x"}})
              .cpus() == 0);
  }
}

TEST_CASE("cgroup_cpus: version 1, alone and beside version 2") {
  const std::string mounts = "/proc/self/mountinfo", groups = "/proc/self/cgroup", top = "/sys/fs/cgroup/cpu,cpuacct";
  SUBCASE("the controller cpu, in the group and those around it") {
    CHECK(Root({{mounts, kV1},
                {groups, "9:memory:/m\n4:cpu,cpuacct:/a/b\n3:cpuset:/\n"},
                {top + "/a/b/cpu.cfs_quota_us", "-1\n"},
                {top + "/a/b/cpu.cfs_period_us", "100000\n"},
                {top + "/a/cpu.cfs_quota_us", "150000\n"},
                {top + "/a/cpu.cfs_period_us", "50000\n"},
                {"/sys/fs/cgroup/memory/m/cpu.cfs_quota_us", "50000\n"},
                {"/sys/fs/cgroup/memory/m/cpu.cfs_period_us", "50000\n"}})
              .cpus() == 3);
  }
  SUBCASE("a container: its group is mounted alone") {
    CHECK(Root({{mounts, "33 31 0:29 /docker/12ab /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"},
                {groups, "4:cpu,cpuacct:/docker/12ab\n"},
                {top + "/cpu.cfs_quota_us", "200000\n"},
                {top + "/cpu.cfs_period_us", "100000\n"}})
              .cpus() == 2);
  }
  SUBCASE("both mounted: the one with a quota counts") {
    CHECK(Root({{mounts, std::string(kV1) + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
                {groups, "4:cpu,cpuacct:/a\n0::/u\n"},
                {top + "/a/cpu.cfs_quota_us", "500000\n"},
                {top + "/a/cpu.cfs_period_us", "100000\n"}})
              .cpus() == 5);
  }
  SUBCASE("none") {
    CHECK(Root({{mounts, kV1}, {groups, "4:cpu,cpuacct:/\n"}, {top + "/cpu.cfs_quota_us", "-1\n"}}).cpus() == 0);
  }
}

}  // namespace cnnx::test
