//! What UniFFI exports is documented for Kotlin and Swift too: no link syntax of Rust may be in these docs.

use std::fs;

use syn::{Attribute, Field, ImplItemFn, Item, Meta, TraitItemFn, Variant, visit::Visit};

use crate::support::sources::rust_files;

/// Collects the doc comments of exported items that hold Rust links.
#[derive(Default)]
struct Docs {
    is_exported: bool,
    with_links: Vec<String>,
    items: usize,
}

impl Docs {
    fn check(&mut self, attributes: &[Attribute]) {
        let text = |attribute: &Attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                syn::Expr::Lit(literal) => match &literal.lit {
                    syn::Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let docs: Vec<_> = attributes.iter().filter_map(text).collect();
        let has_link = |line: &&String| line.contains("[`") || line.contains("`](") || line.contains("Self::");
        self.with_links.extend(docs.iter().filter(has_link).cloned());
    }
}

impl Visit<'_> for Docs {
    fn visit_item(&mut self, item: &Item) {
        let attributes = match item {
            Item::Struct(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            _ => return,
        };
        let is_uniffi = |attribute: &Attribute| {
            attribute
                .path()
                .segments
                .first()
                .is_some_and(|first| first.ident == "uniffi")
                || matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("derive")
                    && list.tokens.to_string().contains("uniffi"))
        };
        self.is_exported = attributes.iter().any(is_uniffi);
        if self.is_exported {
            self.items += 1;
            self.check(attributes);
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &Field) {
        self.check(&field.attrs);
    }

    fn visit_variant(&mut self, variant: &Variant) {
        self.check(&variant.attrs);
        syn::visit::visit_variant(self, variant);
    }

    fn visit_impl_item_fn(&mut self, function: &ImplItemFn) {
        self.check(&function.attrs);
    }

    fn visit_trait_item_fn(&mut self, function: &TraitItemFn) {
        self.check(&function.attrs);
    }
}

#[test]
fn exported_docs_hold_no_rust_links() {
    let mut docs = Docs::default();
    for path in rust_files("src") {
        let text = fs::read_to_string(path).expect("a source");
        docs.visit_file(&syn::parse_file(&text).expect("Rust"));
    }
    assert!(docs.items > 50, "only {} exported items were found", docs.items);
    assert!(docs.with_links.is_empty(), "{:#?}", docs.with_links);
}
