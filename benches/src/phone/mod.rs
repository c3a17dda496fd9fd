//! Life on a phone: time comes in slices, a pause comes at any moment, and somebody is looking at a room.
//!
//! Each of these has a file with both its sides: what the parent asks of its children, and what a child does.

mod dice;
mod first_key;
mod pause;
mod slices;

use crate::{Failure, arguments::Options, targets::Target};

/// What can be asked for, and what its children are called.
pub(crate) const NAMES: [&str; 3] = [slices::NAME, pause::NAME, first_key::NAME];

/// What came of one.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) about: String,
    /// The first one is what a row is about.
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) targets: Vec<Target>,
}

/// All that these options ask for.
pub(crate) fn measure(options: &Options) -> Result<Vec<Table>, Failure> {
    let is_asked_for = |name: &str| options.only.as_ref().is_none_or(|text| name.contains(text.as_str()));
    let mut tables = Vec::new();
    if is_asked_for(slices::NAME) {
        tables.push(slices::measure((options.rounds / 3).max(1))?);
    }
    if is_asked_for(pause::NAME) {
        tables.push(pause::measure()?);
    }
    if is_asked_for(first_key::NAME) && options.large_keys > 0 {
        tables.push(first_key::measure(options.large_keys)?);
    }
    Ok(tables)
}

/// What a child of that name does.
pub(crate) fn work(name: &str, told: &str) -> Result<(), Failure> {
    match name {
        slices::NAME => slices::work(&serde_json::from_str(told)?),
        pause::NAME => pause::work(&serde_json::from_str(told)?),
        first_key::NAME => first_key::work(&serde_json::from_str(told)?),
        _ => Err("no such child".into()),
    }
}
