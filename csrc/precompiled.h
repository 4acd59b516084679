// The headers of the standard library that nearly every file of csrc includes: a build from scratch (CNNX_UNITY) reads them once.
// No file may rely on it.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>
