//! A page of keys to upload, as the app's crypto makes it: the object `rooms` of `PUT /room_keys/keys`. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A page, with its entries unread.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    rooms: BTreeMap<String, Sessions<'a>>,
}

#[derive(Deserialize, Serialize)]
struct Sessions<'a> {
    #[serde(borrow)]
    sessions: BTreeMap<String, &'a RawValue>,
}

impl<'a> Page<'a> {
    /// Reads a page; `None` if it does not have the form of one.
    pub(super) fn parse(rooms_json: &'a str) -> Option<Self> {
        serde_json::from_str(rooms_json).ok()
    }

    /// Returns how many keys the page has.
    pub(super) fn keys(&self) -> u64 {
        self.rooms.values().map(|room| room.sessions.len() as u64).sum()
    }

    /// Leaves out the entries for which `is_left_out` says so: it gets the room, the session and the JSON of the entry.
    pub(super) fn leave_out<E>(
        &mut self,
        mut is_left_out: impl FnMut(&str, &str, &str) -> Result<bool, E>,
    ) -> Result<(), E> {
        for (room_id, room) in &mut self.rooms {
            let mut left_out = Vec::new();
            for (session_id, entry) in &room.sessions {
                if is_left_out(room_id, session_id, entry.get())? {
                    left_out.push(session_id.clone());
                }
            }
            room.sessions.retain(|session_id, _| !left_out.contains(session_id));
        }
        self.rooms.retain(|_, room| !room.sessions.is_empty());
        Ok(())
    }

    /// Returns the body of the upload; `None` if the page has no entries: an upload without any does harm on Dendrite.
    pub(super) fn body(&self) -> Option<Vec<u8>> {
        #[derive(Serialize)]
        struct Body<'a> {
            rooms: &'a Page<'a>,
        }
        let has_entries = self.rooms.values().any(|room| !room.sessions.is_empty());
        has_entries.then(|| serde_json::to_vec(&Body { rooms: self }).expect("what was JSON is JSON again"))
    }
}

/// Reads any text as a page, and leaves out every second entry.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_page(text: &str) {
    let Some(mut page) = Page::parse(text) else { return };
    let (keys, mut number) = (page.keys(), 0);
    let left_out = page.leave_out(|_, _, entry| {
        assert!(!entry.is_empty());
        number += 1;
        Ok::<_, std::convert::Infallible>(number % 2 == 0)
    });
    assert!(left_out.is_ok());
    assert_eq!((number, page.keys()), (keys, keys - keys / 2));
    assert_eq!(page.body().is_some(), keys > 0);
    if let Some(body) = page.body() {
        let body = String::from_utf8(body).expect("JSON is text");
        let rooms = body
            .strip_prefix(r#"{"rooms":"#)
            .and_then(|rest| rest.strip_suffix('}'));
        let again = Page::parse(rooms.expect("it is an object")).expect("it is a page again");
        assert_eq!(again.keys(), page.keys());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_loses_only_what_is_left_out() {
        let text = r#"{"!a":{"sessions":{"x":{"n":1},"y":{"n":2}}},"!b":{"sessions":{"x":{"n":3}}}}"#;
        let mut page = Page::parse(text).expect("a page");
        assert_eq!(page.keys(), 3);
        let left_out = page.leave_out(|room, session, entry| {
            assert!(entry.starts_with("{\"n\":"));
            Ok::<_, ()>((room, session) != ("!a", "y"))
        });
        assert_eq!(left_out, Ok(()));
        let body = page.body().expect("an entry is left");
        assert_eq!(body, br#"{"rooms":{"!a":{"sessions":{"y":{"n":2}}}}}"#);
        assert_eq!(page.leave_out(|_, _, _| Ok::<_, ()>(true)), Ok(()));
        assert_eq!(page.body(), None);
    }

    #[test]
    fn what_is_no_page_is_not_read_as_one() {
        for text in ["", "[]", "{\"!a\":{}}", "{\"!a\":{\"sessions\":[]}}", "{\"!a\":5}"] {
            assert!(Page::parse(text).is_none(), "{text}");
        }
        assert_eq!(Page::parse("{}").and_then(|page| page.body()), None);
    }
}
