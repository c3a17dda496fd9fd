//! Tells the linker what phones ask of the library.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    // Android devices with memory pages of 16 KiB load a library only if its segments are aligned to them. On Linux too,
    // so that this can be checked without the NDK.
    if matches!(os.as_str(), "android" | "linux") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,max-page-size=16384");
    }
    // A tenth of the bytes. Android reads relocations packed in this way since version 6.
    if os == "android" {
        println!("cargo::rustc-link-arg-cdylib=-Wl,--pack-dyn-relocs=android");
    }
}
