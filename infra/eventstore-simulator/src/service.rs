//! The calls of the protocol, each on its connection.
#![allow(clippy::result_large_err, reason = "the status is tonic's")]
use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use hyper::body::Incoming;
use hyper::{Request, Response};
use prost::bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::body::BoxBody;
use tonic::codec::ProstCodec;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tower::service_fn;

use crate::book::{Book, shown};
use crate::faults::{Fate, Faults};
use crate::wire::append_req::{Content, Expected};
use crate::wire::read_req::{Count, FilterOption, Options, Place, Revision, Source};
use crate::wire::read_resp::{self, RecordedEvent, StreamNotFound, SubscriptionConfirmation};
use crate::wire::{
    AppendReq, AppendResp, ClusterInfo, EndPoint, MemberInfo, ReadReq, ReadResp, SupportedMethods,
};

/// The version that is told to clients: a feature that is not told of is not used.
const VERSION: &str = "21.10.0.0";
/// The number of the state that leads a cluster.
const LEADER: i32 = 8;
/// Events that a subscription takes at a time.
const CHUNK: usize = 256;

type Answers = BoxStream<'static, Result<ReadResp, Status>>;

/// What a connection is served from. Cancelling its token ends it.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) book: Arc<Book>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) port: u16,
    pub(crate) connection: CancellationToken,
}

impl Service {
    pub(crate) async fn call(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody>, Infallible> {
        let path = request.uri().path().to_owned();
        Ok(match path.as_str() {
            "/event_store.client.streams.Streams/Append" => {
                let append = service_fn(move |call: tonic::Request<Streaming<AppendReq>>| {
                    self.clone().append(call.into_inner())
                });
                Grpc::new(ProstCodec::default()).client_streaming(append, request).await
            }
            "/event_store.client.streams.Streams/Read" => {
                let read = service_fn(move |call: tonic::Request<ReadReq>| {
                    let service = self.clone();
                    async move { service.read(call.into_inner()).await.map(tonic::Response::new) }
                });
                Grpc::new(ProstCodec::default()).server_streaming(read, request).await
            }
            "/event_store.client.server_features.ServerFeatures/GetSupportedMethods" => {
                let told = || SupportedMethods { event_store_server_version: VERSION.to_owned() };
                let tell = service_fn(move |_: tonic::Request<()>| {
                    std::future::ready(Ok::<_, Status>(tonic::Response::new(told())))
                });
                Grpc::new(ProstCodec::default()).unary(tell, request).await
            }
            "/event_store.client.gossip.Gossip/Read" => {
                let tell = service_fn(move |_: tonic::Request<()>| {
                    std::future::ready(Ok::<_, Status>(tonic::Response::new(self.gossip())))
                });
                Grpc::new(ProstCodec::default()).unary(tell, request).await
            }
            _ => Status::unimplemented("this is a simulator").into_http(),
        })
    }

    fn gossip(&self) -> ClusterInfo {
        let here = EndPoint { address: "127.0.0.1".to_owned(), port: self.port.into() };
        let me = MemberInfo { state: LEADER, is_alive: true, http_end_point: Some(here) };
        ClusterInfo { members: vec![me] }
    }

    async fn append(
        self,
        mut sent: Streaming<AppendReq>,
    ) -> Result<tonic::Response<AppendResp>, Status> {
        let (mut target, mut messages) = (None, vec![]);
        while let Some(part) = sent.message().await? {
            match part.content {
                Some(Content::Options(options)) => target = Some(options),
                Some(Content::ProposedMessage(message)) => messages.push(message),
                None => return Err(Status::invalid_argument("a part without content")),
            }
        }
        let target = target.ok_or_else(|| Status::invalid_argument("no stream"))?;
        let stream = name(target.stream_identifier)?;
        let expected = target.expected.unwrap_or(Expected::Any(()));
        let fate = self.faults.fate();
        if fate == Fate::LostBefore {
            return self.hang_up().await;
        }
        let answer = self.book.append(&stream, expected, messages);
        match fate {
            Fate::LostAfter => self.hang_up().await,
            _ => Ok(tonic::Response::new(answer)),
        }
    }

    /// Ends the connection; nobody hears anything any more.
    async fn hang_up<T>(&self) -> Result<T, Status> {
        self.connection.cancel();
        std::future::pending().await
    }

    async fn read(self, request: ReadReq) -> Result<Answers, Status> {
        let options = request.options.ok_or_else(|| Status::invalid_argument("no options"))?;
        if self.faults.read_is_lost() {
            return self.hang_up().await;
        }
        let (count, live) = match options.count {
            Some(Count::Subscription(())) => (usize::MAX, true),
            Some(Count::Count(count)) => (usize::try_from(count).unwrap_or(usize::MAX), false),
            None => return Err(Status::invalid_argument("no count")),
        };
        let backwards = options.read_direction == 1;
        match options.source.clone() {
            Some(Source::Stream(of)) if !live => {
                let stream = name(of.stream_identifier)?;
                let from = match of.revision {
                    Some(Revision::Revision(revision)) => Some(revision),
                    Some(Revision::Start(())) => Some(0),
                    Some(Revision::End(())) | None => None,
                };
                let found = self.book.stream(&stream, from, backwards, count);
                Ok(answers(found.map_or_else(
                    || vec![missing(stream)],
                    |events| events.into_iter().map(shown).collect(),
                )))
            }
            Some(Source::All(of)) if !backwards => {
                let from = match of.place {
                    Some(Place::Position(position)) => position.commit_position,
                    Some(Place::Start(())) => 0,
                    Some(Place::End(())) | None => u64::MAX,
                };
                if live {
                    return Ok(self.follow(from, &options));
                }
                let (events, _) = self.book.all(from, count);
                Ok(answers(events.into_iter().map(shown).collect()))
            }
            _ => Err(Status::unimplemented("this is a simulator")),
        }
    }

    /// What comes after a position, for ever.
    fn follow(&self, after: u64, options: &Options) -> Answers {
        let prefixes = match &options.filter {
            Some(FilterOption::Filter(filter)) => {
                filter.stream_identifier.clone().map(|expression| expression.prefix)
            }
            _ => None,
        };
        let subscription_id = "simulated".to_owned();
        let confirmed =
            read_resp::Content::Confirmation(SubscriptionConfirmation { subscription_id });
        let start = stream::iter([Ok(ReadResp { content: Some(confirmed) })]);
        let state = (Arc::clone(&self.book), self.book.watch(), after);
        let events = stream::unfold(state, |(book, mut grown, after)| async move {
            loop {
                grown.mark_unchanged();
                let (events, _) = book.all(after.saturating_add(1), CHUNK);
                if let Some(last) = events.last() {
                    let last = last.commit_position;
                    return Some((events, (book, grown, last)));
                }
                grown.changed().await.ok()?;
            }
        });
        let wanted = move |event: &RecordedEvent| {
            let name = event.stream_identifier.as_ref().map_or(&[][..], |id| &id.stream_name[..]);
            prefixes.as_ref().is_none_or(|prefixes| {
                prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
            })
        };
        let events = events.map(move |events| {
            let events = events.into_iter().filter(&wanted).map(shown).map(Ok);
            stream::iter(events.collect::<Vec<_>>())
        });
        start.chain(events.flatten()).boxed()
    }
}

fn name(identifier: Option<crate::wire::StreamIdentifier>) -> Result<Bytes, Status> {
    let name = identifier.map(|identifier| identifier.stream_name);
    name.ok_or_else(|| Status::invalid_argument("no stream"))
}

fn missing(stream_name: Bytes) -> ReadResp {
    let stream_identifier = Some(crate::wire::StreamIdentifier { stream_name });
    let missing = StreamNotFound { stream_identifier };
    ReadResp { content: Some(read_resp::Content::StreamNotFound(missing)) }
}

fn answers(all: Vec<ReadResp>) -> Answers {
    stream::iter(all.into_iter().map(Ok)).boxed()
}
