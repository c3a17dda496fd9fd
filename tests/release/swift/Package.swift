// swift-tools-version:6.0
import PackageDescription

// scripts/try-release.sh sets both.
let environment = Context.environment
let release = environment["RELEASE_PACKAGE"] ?? ""
let version = environment["RELEASE_VERSION"] ?? "0.0.0"

let package = Package(
    name: "ReleaseConsumer",
    platforms: [.macOS(.v13)],
    dependencies: [.package(url: release, exact: Version(stringLiteral: version))],
    targets: [.executableTarget(name: "Restore", dependencies: [.product(name: "Keyferry", package: "keyferry")])]
)
