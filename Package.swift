// swift-tools-version:6.0
import PackageDescription

// Where the Rust library of this release is. scripts/release.sh writes both lines.
let releaseURL = ""
let releaseChecksum = ""

// Without a release, Apple systems take what scripts/build-xcframework.sh has built here. Linux, and macOS with
// KEYFERRY_LIBRARY=local, take the library that the linker finds by LIBRARY_PATH, and by LD_LIBRARY_PATH (Linux) or
// DYLD_LIBRARY_PATH (macOS) when a program starts.
let builtHere = "target/apple/KeyferryFFI.xcframework"

#if os(Linux)
let usualLibrary = "local"
#else
let usualLibrary = "release"
#endif
let isSystemLibrary = (Context.environment["KEYFERRY_LIBRARY"] ?? usualLibrary) == "local"

let library: Target =
    if isSystemLibrary {
        // scripts/generate-bindings.sh swift makes this folder, and the folder Generated of Keyferry.
        .systemLibrary(name: "KeyferryFFI", path: "bindings/swift/Sources/KeyferryFFI")
    } else if releaseURL.isEmpty {
        .binaryTarget(name: "KeyferryFFI", path: builtHere)
    } else {
        .binaryTarget(name: "KeyferryFFI", url: releaseURL, checksum: releaseChecksum)
    }

// Modules with the names of Apple's, which make the code for Apple systems compile and run on Linux, in tests.
let stubs =
    Context.environment["KEYFERRY_APPLE_STUBS"] == "1"
    ? ["AppleFoundation", "BackgroundTasks", "Network", "Security", "SwiftUI", "UIKit"] : []
let stubDependencies = stubs.map { Target.Dependency.target(name: $0) }

let package = Package(
    name: "Keyferry",
    defaultLocalization: "en",
    // The XCFramework is for iOS; a Mac takes the library that is built there.
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "Keyferry", targets: ["Keyferry"]),
        .library(name: "KeyferryTesting", targets: ["KeyferryTesting"]),
    ] + (stubs.isEmpty ? [] : [.library(name: "AppleStubs", targets: stubs)]),
    targets: [
        library,
        .target(
            name: "Keyferry",
            dependencies: ["KeyferryFFI"] + stubDependencies,
            path: "bindings/swift/Sources/Keyferry",
            resources: [.process("Resources")],
            linkerSettings: isSystemLibrary ? [.linkedLibrary("keyferry")] : []
        ),
        .target(name: "KeyferryTesting", dependencies: ["Keyferry"], path: "bindings/swift/Sources/KeyferryTesting"),
        .testTarget(
            name: "KeyferryTests",
            dependencies: ["Keyferry", "KeyferryTesting"] + stubDependencies,
            path: "bindings/swift/Tests/KeyferryTests"
        ),
    ] + stubs.map { name in
        .target(
            name: name,
            dependencies: name == "AppleFoundation" ? [] : ["AppleFoundation"],
            path: "bindings/swift/Stubs/\(name)"
        )
    }
)
