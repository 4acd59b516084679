# What the tiers share: steps with their logs and times, and the environments they run in. Sourced, from the project's folder.
root=$PWD work=$PWD/build/ci
mkdir -p "$work/logs"
failed=()

# step NAME COMMAND...: runs it quietly; on failure shows the tests that failed and the end of its log, and goes on, so that one run tells all.
step() {
  local name=$1 log="$work/logs/${1//[^A-Za-z0-9]/-}.log" start=$SECONDS
  shift
  if "$@" >"$log" 2>&1; then
    printf 'ok    %4d s  %s\n' $((SECONDS - start)) "$name"
  else
    printf 'FAIL  %4d s  %s   (%s)\n' $((SECONDS - start)) "$name" "$log"
    { grep -E '^(FAILED|ERROR) ' "$log"; tail -n 60 "$log"; } | sed 's/^/      | /'
    failed+=("$name")
    return 1
  fi
}
summary_of() { grep -E '^=* ?[0-9]+ (passed|failed|error|skipped).* in [0-9.]+' "$work/logs/$1.log" 2>/dev/null | tail -n 1 | sed 's/^=* *//; s/ *=*$//'; }
in_venv() { (export VIRTUAL_ENV=$1 PATH=$1/bin:$PATH XDG_CACHE_HOME=$work/cache && shift && "$@"); }
tested() { in_venv "$work/readme" "$@"; }  # where the package, PyTorch and the extras are
fuzz_build() { cmake --preset fuzz && cmake --build --preset fuzz; }
# fuzz_readers SECONDS SEED: libFuzzer on the readers of files, for so long each, several at once. It keeps what it learns in
# build/fuzz/READER and leaves the input of a crash in build/fuzz.
fuzz_readers() {
  printf '%s\n' idx json onnx safetensors | xargs -P "$(nproc)" -I{} sh -c "mkdir -p build/fuzz/{} && build/fuzz/tests/fuzz/cnnx_fuzz_{} \
    -max_total_time=$1 -seed=$2 -max_len=4096 -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 -artifact_prefix=build/fuzz/{}- build/fuzz/{} tests/fuzz/corpus/{}"
}
preset() { cmake --preset "$1" && cmake --build --preset "$1" && ctest --preset "$1"; }

export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} CTEST_PARALLEL_LEVEL=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 MPLBACKEND=Agg
unset CNNX_TARGET CNNX_DATA_DIR

finish() {
  echo "total $SECONDS s"
  [ ${#failed[@]} -eq 0 ] || printf 'failed: %s\n' "${failed[@]}"
}
