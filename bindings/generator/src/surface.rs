//! The exported surface as text: a line for each thing that an app can see, sorted, for `docs/surface/bindings.txt`.

use std::{collections::BTreeSet, error::Error};

use uniffi_bindgen::macro_metadata::extract_from_library;
use uniffi_meta::{FieldMetadata, FnParamMetadata, Metadata, Type};

/// Returns what a library exports. Its path ends in `.so`, `.dylib` or `.dll`.
pub(crate) fn lines(library: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let metadata = extract_from_library(library.into())?;
    Ok(metadata.iter().flat_map(lines_of).collect())
}

fn lines_of(item: &Metadata) -> Vec<String> {
    match item {
        Metadata::Func(item) => {
            let call = call(
                &item.inputs,
                item.return_type.as_ref(),
                item.throws.as_ref(),
                item.is_async,
            );
            vec![format!("fun {}{call}", item.name)]
        }
        Metadata::Constructor(item) => {
            let call = call(&item.inputs, None, item.throws.as_ref(), item.is_async);
            vec![format!("object {}.{}{call}", item.self_name, item.name)]
        }
        Metadata::Method(item) => {
            let call = call(
                &item.inputs,
                item.return_type.as_ref(),
                item.throws.as_ref(),
                item.is_async,
            );
            vec![format!("object {}.{}{call}", item.self_name, item.name)]
        }
        Metadata::TraitMethod(item) => {
            let call = call(
                &item.inputs,
                item.return_type.as_ref(),
                item.throws.as_ref(),
                item.is_async,
            );
            vec![format!("trait {}.{}{call}", item.trait_name, item.name)]
        }
        Metadata::Record(item) => {
            let fields = item.fields.iter();
            fields
                .map(|field| format!("record {}.{}", item.name, of_field(field)))
                .collect()
        }
        Metadata::Enum(item) => {
            let kind = if item.shape.is_error() { "error" } else { "enum" };
            let variants = item.variants.iter();
            variants
                .map(|variant| format!("{kind} {}.{}{}", item.name, variant.name, of_fields(&variant.fields)))
                .collect()
        }
        Metadata::CustomType(item) => vec![format!("type {} = {}", item.name, of(&item.builtin))],
        _ => Vec::new(),
    }
}

fn call(inputs: &[FnParamMetadata], returns: Option<&Type>, throws: Option<&Type>, is_async: bool) -> String {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|input| format!("{}: {}", input.name, of(&input.ty)))
        .collect();
    let returns = returns
        .map(|returns| format!(" -> {}", of(returns)))
        .unwrap_or_default();
    let throws = throws
        .map(|throws| format!(" throws {}", of(throws)))
        .unwrap_or_default();
    format!(
        "({}){}{returns}{throws}",
        inputs.join(", "),
        if is_async { " async" } else { "" }
    )
}

fn of_fields(fields: &[FieldMetadata]) -> String {
    let fields: Vec<_> = fields.iter().map(of_field).collect();
    if fields.is_empty() {
        String::new()
    } else {
        format!(" {{ {} }}", fields.join(", "))
    }
}

fn of_field(field: &FieldMetadata) -> String {
    let default = if field.default.is_some() { " = …" } else { "" };
    format!("{}: {}{default}", field.name, of(&field.ty))
}

fn of(ty: &Type) -> String {
    match ty {
        Type::Object { name, .. }
        | Type::Record { name, .. }
        | Type::Enum { name, .. }
        | Type::CallbackInterface { name, .. }
        | Type::Custom { name, .. } => name.clone(),
        Type::Box { inner_type } => of(inner_type),
        Type::Optional { inner_type } => format!("{}?", of(inner_type)),
        Type::Sequence { inner_type } => format!("[{}]", of(inner_type)),
        Type::Set { inner_type } => format!("set of {}", of(inner_type)),
        Type::Map { key_type, value_type } => format!("[{}: {}]", of(key_type), of(value_type)),
        plain => format!("{plain:?}"),
    }
}
