//! The crate's public items as text, for `docs/surface/rust.txt`: declarations without bodies, documentation and private parts.
//!
//! Reads the sources, and takes every `pub` item for a public one: the lint `unreachable_pub` sees to that. rustdoc's
//! description of a crate would need a compiler of one certain version.

use std::{error::Error, fs, path::Path};

use syn::{Attribute, Fields, File, ImplItem, Item, ItemImpl, TraitItem, Visibility, parse_quote};

/// Returns the declarations in the Rust files of a folder and below it, sorted by their kinds and names.
pub(crate) fn declarations(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut declarations(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let file = syn::parse_file(&fs::read_to_string(&path)?)?;
            found.extend(file.items.into_iter().filter_map(public_part).map(text));
        }
    }
    found.sort_by_cached_key(|text| without_attributes(text));
    Ok(found)
}

/// Returns what a declaration is sorted by: with its attributes, a new one would move it.
fn without_attributes(declaration: &str) -> String {
    let is_attribute = |line: &&str| !line.starts_with("pub ") && !line.starts_with("impl");
    declaration.lines().skip_while(is_attribute).collect()
}

fn text(item: Item) -> String {
    let file = File {
        shebang: None,
        attrs: Vec::new(),
        items: vec![item],
    };
    prettyplease::unparse(&file).trim_end().to_owned()
}

/// Returns what of an item is public, or `None` if nothing is.
fn public_part(item: Item) -> Option<Item> {
    match item {
        Item::Struct(mut item) if is_public(&item.vis) => {
            keep_interface(&mut item.attrs);
            keep_public_fields(&mut item.fields);
            Some(Item::Struct(item))
        }
        Item::Enum(mut item) if is_public(&item.vis) => {
            keep_interface(&mut item.attrs);
            for variant in &mut item.variants {
                keep_interface(&mut variant.attrs);
                keep_interface_of(&mut variant.fields);
            }
            Some(Item::Enum(item))
        }
        Item::Trait(mut item) if is_public(&item.vis) => {
            keep_interface(&mut item.attrs);
            for part in &mut item.items {
                if let TraitItem::Fn(function) = part {
                    keep_interface(&mut function.attrs);
                    function.default = function.default.take().map(|_| parse_quote!({}));
                }
            }
            Some(Item::Trait(item))
        }
        Item::Fn(mut item) if is_public(&item.vis) => {
            keep_interface(&mut item.attrs);
            item.block = parse_quote!({});
            Some(Item::Fn(item))
        }
        Item::Const(mut item) if is_public(&item.vis) => {
            keep_interface(&mut item.attrs);
            Some(Item::Const(item))
        }
        Item::Type(mut item) if is_public(&item.vis) => {
            keep_interface(&mut item.attrs);
            Some(Item::Type(item))
        }
        Item::Impl(item) => public_methods(item),
        _ => None,
    }
}

/// Keeps the public functions of an `impl` of a type itself. What traits are implemented is not listed.
fn public_methods(mut item: ItemImpl) -> Option<Item> {
    if item.trait_.is_some() {
        return None;
    }
    keep_interface(&mut item.attrs);
    item.items.retain_mut(|part| match part {
        ImplItem::Fn(function) if is_public(&function.vis) => {
            keep_interface(&mut function.attrs);
            function.block = parse_quote!({});
            true
        }
        _ => false,
    });
    (!item.items.is_empty()).then_some(Item::Impl(item))
}

fn keep_public_fields(fields: &mut Fields) {
    if let Fields::Named(fields) = fields {
        let public = std::mem::take(&mut fields.named).into_iter();
        fields.named = public.filter(|field| is_public(&field.vis)).collect();
    }
    keep_interface_of(fields);
}

fn keep_interface_of(fields: &mut Fields) {
    for field in fields {
        keep_interface(&mut field.attrs);
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Keeps the attributes that a caller notices.
fn keep_interface(attributes: &mut Vec<Attribute>) {
    const NOTICED: [&str; 5] = ["cfg", "deprecated", "derive", "must_use", "non_exhaustive"];
    attributes.retain(|attribute| NOTICED.iter().any(|name| attribute.path().is_ident(name)));
}
