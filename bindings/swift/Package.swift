// swift-tools-version:6.0
// The folder generated/ is made by scripts/generate-bindings.sh swift. The Rust library is found by the linker's own search
// path: LIBRARY_PATH while building, LD_LIBRARY_PATH (Linux) or DYLD_LIBRARY_PATH (macOS) while running the tests.
import PackageDescription

let package = Package(
    name: "Keyferry",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "Keyferry", targets: ["Keyferry"])],
    targets: [
        .systemLibrary(name: "KeyferryFFIFFI", path: "generated/KeyferryFFIFFI"),
        .target(
            name: "KeyferryFFI",
            dependencies: ["KeyferryFFIFFI"],
            path: "generated/KeyferryFFI",
            // The generated code is not written for the strict rules of Swift 6.
            swiftSettings: [.swiftLanguageMode(.v5)],
            linkerSettings: [.linkedLibrary("keyferry")]
        ),
        .target(name: "Keyferry", dependencies: ["KeyferryFFI"]),
        .testTarget(name: "KeyferryTests", dependencies: ["Keyferry"]),
    ]
)
