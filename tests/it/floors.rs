//! Checks the layering of the source: no module imports from a higher floor, and no files import each other in a
//! circle.
//!
//! Only `use` and inline `crate::`, `super::` and `self::` paths outside of test code count. A name that a module
//! re-exports counts as its origin. Edges between a module and its ancestors do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, ItemFn, ItemMod, ItemUse, UseTree, visit::Visit};

use crate::support::sources::rust_files;

/// The modules of the crate from the top down. Each may import from its own floor and from the floors below.
const FLOORS: [&[&str]; 7] = [
    &["client"],
    &[
        "download",
        "upload",
        "reset",
        "preference",
        "on_demand",
        "export",
        "unlock",
        "lookup",
        "sharing",
    ],
    &["job"],
    &["context", "decryption_keys", "compare"],
    &["vault", "homeserver", "crypto", "wake_up"],
    &["backup"],
    &[
        "secret",
        "clock",
        "random",
        "blocking",
        "logging",
        "locked",
        "until_shut_down",
        "ids",
        "remedy",
        "milliseconds",
    ],
];

/// The path of a module from the root of its crate. The path of the root is empty.
type Name = Vec<String>;

/// The references that one file makes to others.
#[derive(Default)]
struct File {
    name: Name,
    paths: Vec<Name>,
    /// Names that the file imports, and their origins; `*` stands for all names of a module.
    aliases: Vec<(String, Name)>,
}

impl File {
    /// Records a path that is written in this file, and returns it as an absolute path.
    fn note(&mut self, path: Name) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        let ups = path.iter().take_while(|part| *part == "super").count();
        let absolute = match first.as_str() {
            "crate" => rest.to_vec(),
            "self" => [&self.name, rest].concat(),
            "super" => [&self.name[..self.name.len().checked_sub(ups)?], &path[ups..]].concat(),
            _ => [&self.name, path.as_slice()].concat(),
        };
        self.paths.push(absolute.clone());
        Some(absolute)
    }

    fn note_use(&mut self, before: &Name, tree: &UseTree) {
        let with = |part: &dyn ToString| [before.as_slice(), &[part.to_string()]].concat();
        let (alias, path) = match tree {
            UseTree::Path(path) => return self.note_use(&with(&path.ident), &path.tree),
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.note_use(before, tree)),
            UseTree::Name(name) if name.ident == "self" => (before.last().cloned(), before.clone()),
            UseTree::Name(name) => (Some(name.ident.to_string()), with(&name.ident)),
            UseTree::Rename(rename) => (Some(rename.rename.to_string()), with(&rename.ident)),
            UseTree::Glob(_) => (Some("*".to_owned()), before.clone()),
        };
        let noted = self.note(path);
        self.aliases.extend(alias.zip(noted));
    }
}

impl Visit<'_> for File {
    fn visit_item_mod(&mut self, item: &ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &ItemFn) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.note_use(&Name::new(), &item.tree);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        self.note(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &syn::Macro) {
        note_tokens(self, item.tokens.clone());
    }
}

/// Records the paths in the arguments of a macro.
fn note_tokens(file: &mut File, tokens: TokenStream) {
    let mut path = Name::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => path.push(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == ':' => {}
            other => {
                file.note(std::mem::take(&mut path));
                if let TokenTree::Group(group) = other {
                    note_tokens(file, group.stream());
                }
            }
        }
    }
    file.note(path);
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| matches!(&attribute.meta, syn::Meta::List(list) if list.path.is_ident("cfg") && list.tokens.to_string().contains("test"));
    attributes.iter().any(is_test)
}

/// Returns the module that a file below `root` holds.
fn name_of(path: &Path, root: &str) -> Name {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let below = path
        .strip_prefix(root)
        .expect("a file below the root")
        .with_extension("");
    let parts = below.iter().map(|part| part.to_str().expect("a name").to_owned());
    parts
        .filter(|part| !["mod", "lib", "main"].contains(&part.as_str()))
        .collect()
}

/// The files of a crate and the edges between them.
struct SourceTree {
    files: BTreeMap<Name, File>,
}

impl SourceTree {
    fn read(root: &str) -> Self {
        let mut files = BTreeMap::new();
        for path in rust_files(root) {
            let name = name_of(&path, root);
            if name
                .last()
                .is_some_and(|last| last.ends_with("tests") || last == "fuzzing")
            {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            let mut file = File {
                name: name.clone(),
                ..File::default()
            };
            file.visit_file(&syn::parse_file(&text).expect("Rust"));
            files.insert(name, file);
        }
        Self { files }
    }

    /// Returns the file in which a path ends, following re-exports.
    fn origin(&self, path: &[String], depth: usize) -> Option<&Name> {
        let length = (0..=path.len())
            .rev()
            .find(|length| self.files.contains_key(&path[..*length]))?;
        let (name, file) = self.files.get_key_value(&path[..length])?;
        let Some(next) = path.get(length).filter(|_| depth < 8) else {
            return Some(name);
        };
        let handed_on = |(alias, from): &(String, Name)| match alias.as_str() {
            "*" => self
                .origin(&[from.as_slice(), &path[length..]].concat(), depth + 1)
                .filter(|origin| *origin != from),
            alias if alias == next && from.len() + path.len() > length + 1 && from != path => {
                self.origin(&[from.as_slice(), &path[length + 1..]].concat(), depth + 1)
            }
            _ => None,
        };
        file.aliases.iter().find_map(handed_on).or(Some(name))
    }

    fn edges(&self) -> BTreeMap<&Name, BTreeSet<&Name>> {
        let are_related = |one: &Name, other: &Name| one.starts_with(other) || other.starts_with(one);
        let from_file = |(name, file): (&'_ Name, &'_ File)| {
            let to: BTreeSet<_> = file
                .paths
                .iter()
                .filter_map(|path| self.origin(path, 0))
                .filter(|to| !are_related(name, to))
                .collect();
            (self.files.get_key_value(name).expect("the file itself").0, to)
        };
        self.files.iter().map(from_file).collect()
    }

    /// Returns the circles: groups of files that reach each other.
    fn circles(&self) -> BTreeSet<Vec<String>> {
        let edges = self.edges();
        let reached: BTreeMap<_, _> = edges.keys().map(|name| (*name, reach(&edges, name))).collect();
        let circle = |name: &&Name| {
            let others = reached[*name].iter().filter(|other| reached[**other].contains(name));
            others.map(|other| other.join("::")).collect::<Vec<_>>()
        };
        reached.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
    }
}

/// Returns the files that can be reached from one file, which is itself included only if it is in a circle.
fn reach<'a>(edges: &BTreeMap<&'a Name, BTreeSet<&'a Name>>, from: &'a Name) -> BTreeSet<&'a Name> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(next) = open.pop() {
        open.extend(edges[next].iter().copied().filter(|to| seen.insert(*to)));
    }
    seen
}

fn floor(name: &Name) -> Option<usize> {
    let first = name.first()?;
    FLOORS.iter().position(|floor| floor.contains(&first.as_str()))
}

#[test]
fn no_module_imports_upward() {
    let tree = SourceTree::read("src");
    let mut upward = Vec::new();
    for (name, imports) in tree.edges() {
        assert!(name.is_empty() || floor(name).is_some(), "{name:?} is on no floor");
        upward.extend(
            imports
                .into_iter()
                .filter(|to| floor(to) < floor(name))
                .map(|to| format!("{} imports {}", name.join("::"), to.join("::"))),
        );
    }
    assert!(upward.is_empty(), "{upward:#?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for root in ["src", "benches/src"] {
        let circles = SourceTree::read(root).circles();
        assert!(circles.is_empty(), "{root}: {circles:#?}");
    }
}
