//! The snippets in the README are the ones that the bindings' tests compile.

#[test]
fn the_snippets_are_the_compiled_ones() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a file of the project");
    let readme = read("README.md");
    for path in [
        "bindings/kotlin/src/test/kotlin/org/matrix/keyferry/ReadmeSnippet.kt",
        "bindings/kotlin/src/test/kotlin/org/matrix/keyferry/ReadmeSignIn.kt",
        "bindings/swift/Tests/KeyferryTests/ReadmeSnippet.swift",
        "bindings/swift/Tests/KeyferryTests/ReadmeSignIn.swift",
    ] {
        let source = read(path);
        let (_, rest) = source.split_once("// README begin\n").expect("a beginning");
        let (snippet, _) = rest.split_once("// README end").expect("an end");
        for line in snippet.lines().map(str::trim).filter(|line| !line.is_empty()) {
            assert!(readme.contains(line), "{path}: not in the README: {line}");
        }
    }
}
