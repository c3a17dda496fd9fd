//! Measures life on a phone: time comes in slices, a pause can come at any moment, a user is looking at a room, and the
//! app asks for what is there.
//!
//! Each of the four has a file with both sides: what the parent asks of its children, and what a child does.

mod dice;
mod first_key;
mod lookups;
mod pause;
mod slices;

use crate::{Failure, arguments::Options, table::Table};

/// The names of the measurements, which are also the names of their children.
pub(crate) const NAMES: [&str; 4] = [slices::NAME, pause::NAME, first_key::NAME, lookups::NAME];

/// Makes the measurements that these options ask for.
pub(crate) fn measure(options: &Options) -> Result<Vec<Table>, Failure> {
    let is_asked_for = |name: &str| options.only.as_ref().is_none_or(|text| name.contains(text.as_str()));
    let mut tables = Vec::new();
    if is_asked_for(slices::NAME) {
        tables.push(slices::measure((options.rounds / 3).max(1))?);
    }
    if is_asked_for(pause::NAME) {
        tables.push(pause::measure()?);
    }
    if let Some(&keys) = options.large_keys.last() {
        if is_asked_for(first_key::NAME) {
            tables.push(first_key::measure(keys)?);
        }
        if is_asked_for(lookups::NAME) {
            tables.push(lookups::measure(keys)?);
        }
    }
    Ok(tables)
}

/// Does the work of the child with this name, with the orders in `told` (JSON).
pub(crate) fn work(name: &str, told: &str) -> Result<(), Failure> {
    match name {
        slices::NAME => slices::work(&serde_json::from_str(told)?),
        pause::NAME => pause::work(&serde_json::from_str(told)?),
        first_key::NAME => first_key::work(&serde_json::from_str(told)?),
        lookups::NAME => lookups::work(&serde_json::from_str(told)?),
        _ => Err("no such child".into()),
    }
}
