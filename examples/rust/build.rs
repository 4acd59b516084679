fn main() {
    println!("cargo:rerun-if-env-changed=CNNX_LIB_DIR");
    let folder = std::env::var("CNNX_LIB_DIR").expect("CNNX_LIB_DIR: the folder of libcnnx.so");
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-lib=dylib=cnnx");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
}
