//! The snippets in the documents are the ones that the bindings' tests compile.

/// The files of snippets. In each, the snippets of a document stand between `// DOCUMENT begin` and `// DOCUMENT end`,
/// where `README` is `README.md`.
const SOURCES: [(&str, &[&str]); 5] = [
    (
        "bindings/kotlin/src/test/kotlin/io/keyferry/ReadmeSnippet.kt",
        &["README", "docs/reset.md"],
    ),
    (
        "bindings/kotlin/src/test/kotlin/io/keyferry/SignInSnippet.kt",
        &["docs/preference.md"],
    ),
    (
        "bindings/swift/Tests/KeyferryTests/Docs/Snippets.swift",
        &["README", "docs/ios.md", "docs/reset.md"],
    ),
    (
        "bindings/swift/Tests/KeyferryTests/Docs/SignInSnippet.swift",
        &["docs/preference.md"],
    ),
    (
        "tests/android/src/test/kotlin/io/keyferry/docs/Snippets.kt",
        &["README", "docs/android.md"],
    ),
];

#[test]
fn the_snippets_are_the_compiled_ones() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a file of the project");
    for (source, documents) in SOURCES {
        for document in documents {
            let text = match *document {
                "README" => read("README.md"),
                path => read(path),
            };
            let lines = snippet_lines(&read(source), document);
            assert!(!lines.is_empty(), "{source}: nothing for {document}");
            for line in lines {
                assert!(text.contains(&line), "{source}: not in {document}: {line}");
            }
        }
    }
}

/// Returns the lines of all snippets for that document, without their indentation.
fn snippet_lines(source: &str, document: &str) -> Vec<String> {
    let (begin, end) = (format!("// {document} begin"), format!("// {document} end"));
    let mut is_inside = false;
    let mut lines = Vec::new();
    for line in source.lines().map(str::trim) {
        if line == begin || line == end {
            is_inside = line == begin;
        } else if is_mark(line) {
            // Of another document.
        } else if is_inside && !line.is_empty() {
            lines.push(line.to_owned());
        }
    }
    lines
}

fn is_mark(line: &str) -> bool {
    line.starts_with("// ") && (line.ends_with(" begin") || line.ends_with(" end"))
}
