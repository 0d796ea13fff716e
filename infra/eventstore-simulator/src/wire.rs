//! The messages of EventStoreDB's protocol that are spoken here: as its `streams.proto`, `shared.proto`, `gossip.proto` and
//! `serverfeatures.proto` number them. Fields that nobody here reads are left out.
#![allow(missing_docs, clippy::enum_variant_names, reason = "the names are the protocol's own")]
use std::collections::HashMap;

use prost::bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub struct Uuid {
    #[prost(oneof = "uuid::Value", tags = "1, 2")]
    pub value: Option<uuid::Value>,
}

pub mod uuid {
    use super::{Message, Oneof};

    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct Structured {
        #[prost(int64, tag = "1")]
        pub most_significant_bits: i64,
        #[prost(int64, tag = "2")]
        pub least_significant_bits: i64,
    }
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Value {
        #[prost(message, tag = "1")]
        Structured(Structured),
        #[prost(string, tag = "2")]
        String(String),
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct StreamIdentifier {
    #[prost(bytes = "bytes", tag = "3")]
    pub stream_name: Bytes,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Position {
    #[prost(uint64, tag = "1")]
    pub commit_position: u64,
    #[prost(uint64, tag = "2")]
    pub prepare_position: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReadReq {
    #[prost(message, optional, tag = "1")]
    pub options: Option<read_req::Options>,
}

pub mod read_req {
    use super::{Message, Oneof, Position, StreamIdentifier};

    #[derive(Clone, PartialEq, Message)]
    pub struct Options {
        /// 1 is backwards.
        #[prost(int32, tag = "3")]
        pub read_direction: i32,
        #[prost(oneof = "Source", tags = "1, 2")]
        pub source: Option<Source>,
        #[prost(oneof = "Count", tags = "5, 6")]
        pub count: Option<Count>,
        #[prost(oneof = "FilterOption", tags = "7, 8")]
        pub filter: Option<FilterOption>,
    }
    #[derive(Clone, PartialEq, Oneof)]
    pub enum Source {
        #[prost(message, tag = "1")]
        Stream(StreamOptions),
        #[prost(message, tag = "2")]
        All(AllOptions),
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct StreamOptions {
        #[prost(message, optional, tag = "1")]
        pub stream_identifier: Option<StreamIdentifier>,
        #[prost(oneof = "Revision", tags = "2, 3, 4")]
        pub revision: Option<Revision>,
    }
    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Revision {
        #[prost(uint64, tag = "2")]
        Revision(u64),
        #[prost(message, tag = "3")]
        Start(()),
        #[prost(message, tag = "4")]
        End(()),
    }
    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct AllOptions {
        #[prost(oneof = "Place", tags = "1, 2, 3")]
        pub place: Option<Place>,
    }
    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Place {
        #[prost(message, tag = "1")]
        Position(Position),
        #[prost(message, tag = "2")]
        Start(()),
        #[prost(message, tag = "3")]
        End(()),
    }
    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Count {
        #[prost(uint64, tag = "5")]
        Count(u64),
        #[prost(message, tag = "6")]
        Subscription(()),
    }
    #[derive(Clone, PartialEq, Oneof)]
    pub enum FilterOption {
        #[prost(message, tag = "7")]
        Filter(Filter),
        #[prost(message, tag = "8")]
        NoFilter(()),
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Filter {
        #[prost(message, optional, tag = "1")]
        pub stream_identifier: Option<Expression>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Expression {
        #[prost(string, repeated, tag = "2")]
        pub prefix: Vec<String>,
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct ReadResp {
    #[prost(oneof = "read_resp::Content", tags = "1, 2, 4, 8")]
    pub content: Option<read_resp::Content>,
}

pub mod read_resp {
    use super::{Bytes, HashMap, Message, Oneof, StreamIdentifier, Uuid};

    #[derive(Clone, PartialEq, Oneof)]
    pub enum Content {
        #[prost(message, tag = "1")]
        Event(ReadEvent),
        #[prost(message, tag = "2")]
        Confirmation(SubscriptionConfirmation),
        #[prost(message, tag = "4")]
        StreamNotFound(StreamNotFound),
        #[prost(message, tag = "8")]
        CaughtUp(()),
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct ReadEvent {
        #[prost(message, optional, tag = "1")]
        pub event: Option<RecordedEvent>,
        #[prost(uint64, optional, tag = "3")]
        pub commit_position: Option<u64>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct RecordedEvent {
        #[prost(message, optional, tag = "1")]
        pub id: Option<Uuid>,
        #[prost(message, optional, tag = "2")]
        pub stream_identifier: Option<StreamIdentifier>,
        #[prost(uint64, tag = "3")]
        pub stream_revision: u64,
        #[prost(uint64, tag = "4")]
        pub prepare_position: u64,
        #[prost(uint64, tag = "5")]
        pub commit_position: u64,
        #[prost(map = "string, string", tag = "6")]
        pub metadata: HashMap<String, String>,
        #[prost(bytes = "bytes", tag = "7")]
        pub custom_metadata: Bytes,
        #[prost(bytes = "bytes", tag = "8")]
        pub data: Bytes,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct SubscriptionConfirmation {
        #[prost(string, tag = "1")]
        pub subscription_id: String,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct StreamNotFound {
        #[prost(message, optional, tag = "1")]
        pub stream_identifier: Option<StreamIdentifier>,
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct AppendReq {
    #[prost(oneof = "append_req::Content", tags = "1, 2")]
    pub content: Option<append_req::Content>,
}

pub mod append_req {
    use super::{Bytes, HashMap, Message, Oneof, StreamIdentifier, Uuid};

    #[derive(Clone, PartialEq, Oneof)]
    pub enum Content {
        #[prost(message, tag = "1")]
        Options(Options),
        #[prost(message, tag = "2")]
        ProposedMessage(ProposedMessage),
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Options {
        #[prost(message, optional, tag = "1")]
        pub stream_identifier: Option<StreamIdentifier>,
        #[prost(oneof = "Expected", tags = "2, 3, 4, 5")]
        pub expected: Option<Expected>,
    }
    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Expected {
        #[prost(uint64, tag = "2")]
        Revision(u64),
        #[prost(message, tag = "3")]
        NoStream(()),
        #[prost(message, tag = "4")]
        Any(()),
        #[prost(message, tag = "5")]
        StreamExists(()),
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct ProposedMessage {
        #[prost(message, optional, tag = "1")]
        pub id: Option<Uuid>,
        #[prost(map = "string, string", tag = "2")]
        pub metadata: HashMap<String, String>,
        #[prost(bytes = "bytes", tag = "3")]
        pub custom_metadata: Bytes,
        #[prost(bytes = "bytes", tag = "4")]
        pub data: Bytes,
    }
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct AppendResp {
    #[prost(oneof = "append_resp::Result", tags = "1, 2")]
    pub result: Option<append_resp::Result>,
}

pub mod append_resp {
    use super::{Message, Oneof, Position};

    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Result {
        #[prost(message, tag = "1")]
        Success(Success),
        #[prost(message, tag = "2")]
        WrongExpectedVersion(WrongExpectedVersion),
    }
    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct Success {
        #[prost(uint64, optional, tag = "1")]
        pub current_revision: Option<u64>,
        #[prost(message, optional, tag = "3")]
        pub position: Option<Position>,
    }
    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct WrongExpectedVersion {
        #[prost(oneof = "Current", tags = "6, 7")]
        pub current: Option<Current>,
        #[prost(oneof = "Expected", tags = "8, 9, 10, 11")]
        pub expected: Option<Expected>,
    }
    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Current {
        #[prost(uint64, tag = "6")]
        Revision(u64),
        #[prost(message, tag = "7")]
        NoStream(()),
    }
    #[derive(Clone, Copy, PartialEq, Oneof)]
    pub enum Expected {
        #[prost(uint64, tag = "8")]
        Revision(u64),
        #[prost(message, tag = "9")]
        Any(()),
        #[prost(message, tag = "10")]
        StreamExists(()),
        #[prost(message, tag = "11")]
        NoStream(()),
    }
}

/// What the server can do beyond the first version: nothing.
#[derive(Clone, PartialEq, Message)]
pub struct SupportedMethods {
    #[prost(string, tag = "2")]
    pub event_store_server_version: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClusterInfo {
    #[prost(message, repeated, tag = "1")]
    pub members: Vec<MemberInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MemberInfo {
    #[prost(int32, tag = "3")]
    pub state: i32,
    #[prost(bool, tag = "4")]
    pub is_alive: bool,
    #[prost(message, optional, tag = "5")]
    pub http_end_point: Option<EndPoint>,
}

#[derive(Clone, PartialEq, Message)]
pub struct EndPoint {
    #[prost(string, tag = "1")]
    pub address: String,
    #[prost(uint32, tag = "2")]
    pub port: u32,
}
