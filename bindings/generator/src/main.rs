//! The generator of the Kotlin and Swift bindings, in the version that the crate itself uses.

fn main() {
    uniffi::uniffi_bindgen_main();
}
