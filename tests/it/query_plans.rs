//! Checks that no statement of the vault reads through a table that has a row for each entry. In a backup of a million
//! keys, that takes half a second, and SQLite may keep what it has read in memory.

use std::{collections::BTreeMap, fs, path::Path};

use proc_macro2::{TokenStream, TokenTree};
use rusqlite::Connection;

use crate::support::{Setup, homeserver, sources::rust_files};

/// Tables with a row for each entry.
const LARGE: [&str; 6] = ["confirmed", "delivered", "entry", "opened", "served", "trimmed"];

/// What reads everything because it has to.
const READS_EVERYTHING: [&str; 5] = [
    // Before a reset, once.
    "SELECT count(*) FROM trimmed WHERE NOT is_forgotten",
    // In an upgrade, once. The table of the last two is gone since.
    "SELECT known.id, hash, session FROM (SELECT id, room, session FROM entry",
    "SELECT hash, entry FROM session_index",
    "INSERT INTO session_index",
    // When the mark of a version changes. It has the entries that were confirmed under the last one.
    "DELETE FROM confirmed WHERE EXISTS",
];

#[tokio::test]
async fn no_statement_reads_through_a_large_table() {
    let homeserver = homeserver(1, 1);
    let setup = Setup::new(&homeserver);
    setup.open_unlocked().await.shutdown();
    let vault = Connection::open(setup.vault_file()).expect("the vault");
    let (mut statements, mut seen) = (Vec::new(), 0);
    let mut files = rust_files("src/vault");
    files.retain(|file| !file.ends_with("tests.rs"));
    for file in files {
        statements.extend(texts(&file));
    }
    let constants: BTreeMap<&str, &str> = statements
        .iter()
        .filter_map(|text| Some((text.constant.as_deref()?, text.value.as_str())))
        .collect();
    let mut bad = Vec::new();
    for text in &statements {
        let mut sql = text.value.clone();
        for (name, value) in &constants {
            sql = sql.replace(&format!("{{{name}}}"), value);
        }
        let is_whole = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "]
            .iter()
            .any(|verb| sql.starts_with(verb));
        // What is put together elsewhere is not whole here.
        if !is_whole || sql.contains(['{', ';']) || READS_EVERYTHING.iter().any(|known| sql.starts_with(known)) {
            continue;
        }
        seen += 1;
        let scanned = steps(&vault, &sql).into_iter().filter(|step| {
            let table = step.strip_prefix("SCAN ");
            table.is_some_and(|table| LARGE.contains(&table)) || step.contains("AUTOMATIC")
        });
        bad.extend(scanned.map(|step| format!("{step}: {sql}")));
    }
    assert!(seen > 150, "statements are found: {seen}");
    assert!(bad.is_empty(), "{bad:#?}");
}

/// A string of the source.
struct Text {
    value: String,
    /// The name of the constant that it is the value of.
    constant: Option<String>,
}

/// Returns the plan of a statement.
fn steps(vault: &Connection, sql: &str) -> Vec<String> {
    let mut plan = vault
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
    let mut rows = plan.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().expect("a step") {
        steps.push(row.get(3).expect("a text"));
    }
    steps
}

/// Returns the strings of a file, without those of its tests, which come last.
fn texts(file: &Path) -> Vec<Text> {
    let source = fs::read_to_string(file).expect("the file is read");
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut texts = Vec::new();
    collect(code.parse().expect("it is Rust"), &mut texts);
    texts
}

fn collect(tokens: TokenStream, texts: &mut Vec<Text>) {
    let mut constant = None;
    let mut last = String::new();
    for token in tokens {
        match &token {
            TokenTree::Group(group) => collect(group.stream(), texts),
            TokenTree::Ident(name) if last == "const" => constant = Some(name.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == ';' => constant = None,
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    texts.push(Text {
                        value: text.value(),
                        constant: constant.clone(),
                    });
                }
            }
            _ => {}
        }
        last = token.to_string();
    }
}
