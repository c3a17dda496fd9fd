//! Finds the endpoint that a request is for.

use crate::{EndpointKind, request::Request};

/// An endpoint, with the values from the path of the request.
#[derive(Debug, PartialEq)]
pub(crate) enum Route<'a> {
    CurrentVersion,
    Version(&'a str),
    AllKeys,
    RoomKeys(&'a str),
    SessionKey(&'a str, &'a str),
    CreateVersion,
    UpdateVersion(&'a str),
    DeleteVersion(&'a str),
    PutAllKeys,
    PutRoomKeys(&'a str),
    PutSessionKey(&'a str, &'a str),
    JoinedRooms,
    GetAccountData(&'a str, &'a str),
    PutAccountData(&'a str, &'a str),
    /// The path is known, but not with this method.
    WrongMethod,
    Unknown,
}

impl<'a> Route<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let ["_matrix", "client", "v3", rest @ ..] = path.as_slice() else {
            return Self::Unknown;
        };
        let route = match *rest {
            ["room_keys", "version"] if request.method == "POST" => return Self::CreateVersion,
            ["room_keys", "version", version] if request.method == "PUT" => return Self::UpdateVersion(version),
            ["room_keys", "version", version] if request.method == "DELETE" => return Self::DeleteVersion(version),
            ["room_keys", "keys"] if request.method == "PUT" => return Self::PutAllKeys,
            ["room_keys", "keys", room] if request.method == "PUT" => return Self::PutRoomKeys(room),
            ["room_keys", "keys", room, session] if request.method == "PUT" => {
                return Self::PutSessionKey(room, session);
            }
            ["room_keys", "version"] => Self::CurrentVersion,
            ["room_keys", "version", version] => Self::Version(version),
            ["room_keys", "keys"] => Self::AllKeys,
            ["room_keys", "keys", room] => Self::RoomKeys(room),
            ["room_keys", "keys", room, session] => Self::SessionKey(room, session),
            ["joined_rooms"] => Self::JoinedRooms,
            ["user", user, "account_data", kind] if request.method == "PUT" => {
                return Self::PutAccountData(user, kind);
            }
            ["user", user, "account_data", kind] => Self::GetAccountData(user, kind),
            _ => return Self::Unknown,
        };
        if request.method == "GET" {
            route
        } else {
            Self::WrongMethod
        }
    }

    /// Whether the endpoint is one of those under `/room_keys`.
    pub(crate) fn is_of_room_keys(&self) -> bool {
        !matches!(
            self,
            Self::JoinedRooms | Self::GetAccountData(..) | Self::PutAccountData(..) | Self::WrongMethod | Self::Unknown
        )
    }

    /// Returns the room that the path names, if any.
    pub(crate) fn room(&self) -> Option<&'a str> {
        match self {
            Self::RoomKeys(room)
            | Self::SessionKey(room, _)
            | Self::PutRoomKeys(room)
            | Self::PutSessionKey(room, _) => Some(room),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> EndpointKind {
        match self {
            Self::CurrentVersion => EndpointKind::CurrentVersion,
            Self::Version(_) => EndpointKind::Version,
            Self::AllKeys => EndpointKind::AllKeys,
            Self::RoomKeys(_) => EndpointKind::RoomKeys,
            Self::SessionKey(..) => EndpointKind::SessionKey,
            Self::CreateVersion => EndpointKind::CreateVersion,
            Self::UpdateVersion(_) => EndpointKind::UpdateVersion,
            Self::DeleteVersion(_) => EndpointKind::DeleteVersion,
            Self::PutAllKeys | Self::PutRoomKeys(_) | Self::PutSessionKey(..) => EndpointKind::PutKeys,
            Self::JoinedRooms => EndpointKind::JoinedRooms,
            Self::GetAccountData(..) => EndpointKind::GetAccountData,
            Self::PutAccountData(..) => EndpointKind::PutAccountData,
            Self::WrongMethod | Self::Unknown => EndpointKind::Other,
        }
    }
}
