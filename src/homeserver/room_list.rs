//! Reads the list of joined rooms leniently: an odd item is skipped, and the keys of rooms that are missing come with
//! the request for everything.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::backup::limits::{MAX_ID_BYTES, MAX_LISTED_ROOMS};

/// Returns the rooms in an answer to `GET /joined_rooms`, or `None` if it does not come from a homeserver.
pub(super) fn read_room_list(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        joined_rooms: Option<&'a RawValue>,
    }
    let body = String::from_utf8_lossy(body);
    let list = serde_json::from_str::<Wire<'_>>(&body).ok()?.joined_rooms;
    let rooms = list.and_then(|list| serde_json::from_str::<RoomList>(list.get()).ok());
    Some(rooms.map(|rooms| rooms.0).unwrap_or_default())
}

struct RoomList(Vec<String>);

impl<'de> Deserialize<'de> for RoomList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RoomListVisitor)
    }
}

struct RoomListVisitor;

impl<'de> Visitor<'de> for RoomListVisitor {
    type Value = RoomList;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of room ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RoomList, A::Error> {
        let mut rooms = Vec::new();
        while rooms.len() < MAX_LISTED_ROOMS
            && let Some(item) = list.next_element::<&RawValue>()?
        {
            let room = serde_json::from_str::<String>(item.get()).ok();
            rooms.extend(room.filter(|room| (1..=MAX_ID_BYTES).contains(&room.len())));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RoomList(rooms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_is_no_room_id_is_skipped() {
        let long = "x".repeat(MAX_ID_BYTES + 1);
        let body =
            format!(r#"{{"x":1,"joined_rooms":["!a:x",5,null,"",{{"y":["!b:x"]}},"\ud800","{long}",1e999,"!c:x"]}}"#);
        assert_eq!(
            read_room_list(body.as_bytes()),
            Some(vec!["!a:x".into(), "!c:x".into()])
        );
        let mut body = br#"{"joined_rooms":["!a:x","!"#.to_vec();
        body.extend(b"\xff:x\",\"!c:x\"]}");
        let rooms = read_room_list(&body).expect("a list");
        assert_eq!((rooms.len(), rooms[2].as_str()), (3, "!c:x"));
        for body in ["{}", r#"{"joined_rooms":null}"#, r#"{"joined_rooms":{}}"#] {
            assert_eq!(read_room_list(body.as_bytes()), Some(Vec::new()), "{body}");
        }
        for body in ["", "<html>", "5", r#"{"joined_rooms":["!a:x"}"#] {
            assert_eq!(read_room_list(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn rooms_beyond_the_limit_are_left_to_the_request_for_all_keys() {
        let rooms = vec!["!a:x"; MAX_LISTED_ROOMS + 10];
        let body = serde_json::json!({ "joined_rooms": rooms }).to_string();
        assert_eq!(
            read_room_list(body.as_bytes()).map(|rooms| rooms.len()),
            Some(MAX_LISTED_ROOMS)
        );
    }
}
