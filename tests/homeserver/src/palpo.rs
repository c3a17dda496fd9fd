//! The answers of Palpo, which serves one bare `session_data` for each room: the last one of the room in the answer
//! for all keys, and the first one, under the room id, in the answer for a room.

use std::{io, ops::Range};

use serde_json::Value;

use crate::{body::Body, keys::Entries, store::Store};

/// Returns the answer for all keys.
///
/// The sessions that clients have put into rooms of the start are only found one by one.
pub(crate) fn all(entries: &Entries<'_>) -> io::Result<Body> {
    let mut body = Body::text(r#"{"rooms":{"#);
    let mut comma = "";
    if let Some(store) = entries.store() {
        for room in (0..entries.truth.rooms()).filter(|room| !entries.lies.leaves_out(*room)) {
            let Some(last) = indices(entries, room).last() else {
                continue;
            };
            body.push_text(&format!("{comma}\"{}\":", entries.truth.room_id(room)));
            push_session_data(entries, store, &mut body, room, last)?;
            comma = ",";
        }
    }
    let uploads = entries.uploads();
    for (room_id, sessions) in uploads.rooms() {
        if entries.store().is_some_and(|store| store.room(room_id).is_some()) {
            continue;
        }
        if let Some((session_id, uploaded)) = sessions.last_key_value() {
            let entry: Value = serde_json::from_str(&uploads.entry_text(session_id, uploaded)?)?;
            body.push_text(&format!(
                "{comma}{}:{}",
                Value::from(room_id.as_str()),
                entry["session_data"]
            ));
            comma = ",";
        }
    }
    body.push_text("}}");
    Ok(body)
}

/// Returns the answer for a room, or `None` if the version has none of its keys.
pub(crate) fn room(entries: &Entries<'_>, room_id: &str) -> io::Result<Option<Body>> {
    let Some((store, room)) = entries.store().and_then(|store| Some((store, store.room(room_id)?))) else {
        return uploaded_room(entries, room_id);
    };
    let Some(first) = indices(entries, room).next() else {
        return Ok(None);
    };
    let mut body = Body::text(format!(r#"{{"sessions":{{"{room_id}":"#));
    push_session_data(entries, store, &mut body, room, first)?;
    body.push_text("}}");
    Ok(Some(body))
}

fn uploaded_room(entries: &Entries<'_>, room_id: &str) -> io::Result<Option<Body>> {
    let uploads = entries.uploads();
    let first = uploads
        .rooms()
        .get(room_id)
        .and_then(|sessions| sessions.first_key_value());
    let Some((session_id, uploaded)) = first else {
        return Ok(None);
    };
    let entry: Value = serde_json::from_str(&uploads.entry_text(session_id, uploaded)?)?;
    let room_id = Value::from(room_id);
    Ok(Some(Body::text(format!(
        r#"{{"sessions":{{{room_id}:{}}}}}"#,
        entry["session_data"]
    ))))
}

fn indices(entries: &Entries<'_>, room: u64) -> Range<u64> {
    let range = entries.truth.room_range(room);
    range.start..range.end.min(entries.count())
}

fn push_session_data(entries: &Entries<'_>, store: &Store, body: &mut Body, room: u64, index: u64) -> io::Result<()> {
    const NAME: &[u8] = br#""session_data":"#;
    let entry = store.entry(index);
    let replacements = entries.replacements(store, room..room + 1)?;
    if let Some(other) = replacements.iter().find(|other| other.place.end == entry.end) {
        let other: Value = serde_json::from_str(&other.text)?;
        body.push_text(&other["session_data"].to_string());
        return Ok(());
    }
    let mut text = vec![0; usize::try_from(entry.end - entry.start).expect("an entry has about 900 bytes")];
    store.read(entry.start, &mut text)?;
    let name = text.windows(NAME.len()).position(|window| window == NAME);
    let before = name.expect("every entry has session data") + NAME.len();
    body.push_stored(store.file(), entry.start + before as u64..entry.end - 1);
    Ok(())
}
