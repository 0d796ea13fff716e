//! Around a call: places, and what a call that is given up says.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cairn_core::Timestamp;
use cairn_neighbours::{BreakerConfig, Kind, Neighbour, Neighbourhood, State, Unasked};
use futures::FutureExt as _;
use futures::future::BoxFuture;

const NODES: Kind = Kind { name: "node", calls_max: 2, ailing_max: 3 };

fn neighbourhood() -> Neighbourhood {
    Neighbourhood::new(BreakerConfig::default(), Arc::new(|| Timestamp::from_secs(1)))
}

async fn answer(neighbour: &Neighbour) -> Result<Result<(), String>, Unasked> {
    neighbour.call("ask", async { Ok(()) }, |_: &String| true).await
}

async fn fail(neighbour: &Neighbour) {
    neighbour.call("ask", async { Err::<(), _>("away") }, |_| true).await.unwrap().unwrap_err();
}

/// A call that is not answered for as long as it is kept.
fn hang(neighbour: Arc<Neighbour>) -> BoxFuture<'static, Result<Result<(), String>, Unasked>> {
    let mut call = async move { neighbour.call("ask", pending(), |_: &String| true).await }.boxed();
    assert!((&mut call).now_or_never().is_none(), "it is under way");
    call
}

#[tokio::test]
async fn one_that_hangs_fills_its_own_places_only() {
    let all = neighbourhood();
    let (slow, well) = (all.of(NODES, "slow"), all.of(NODES, "well"));
    let under_way = [hang(Arc::clone(&slow)), hang(Arc::clone(&slow))];
    assert!(matches!(answer(&slow).await, Err(Unasked::Busy(_))));
    answer(&well).await.unwrap().unwrap();
    drop(under_way);
    answer(&slow).await.unwrap().unwrap();
    assert_eq!(all.standings(), [], "who went away said nothing of it");
}

#[tokio::test]
async fn those_that_do_not_answer_share_a_few_places() {
    let all = neighbourhood();
    let named = |number: usize| all.of(NODES, &format!("node-{number}"));
    let mut under_way = vec![];
    for number in 0..3 {
        fail(&named(number)).await;
        under_way.push(hang(named(number)));
    }
    // The first failure of one that was well so far needs no place of theirs.
    fail(&named(9)).await;
    assert!(matches!(answer(&named(9)).await, Err(Unasked::Busy(_))), "the places are taken");
    answer(&named(10)).await.unwrap().unwrap();
    drop(under_way);
    answer(&named(9)).await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_is_called_while_it_is_left_alone_and_a_refusal_is_an_answer() {
    let all = neighbourhood();
    let one = all.of(NODES, "one");
    for _ in 0..40 {
        one.call("ask", async { Err::<(), _>("no") }, |_| false).await.unwrap().unwrap_err();
    }
    assert_eq!(one.standing().state, State::Closed);
    for _ in 0..5 {
        fail(&one).await;
    }
    let calls = AtomicUsize::new(0);
    let called = async {
        calls.fetch_add(1, Ordering::SeqCst);
        Ok::<(), String>(())
    };
    let heard = one.call("ask", called, |_| true).await;
    assert!(matches!(&heard, Err(Unasked::LeftAlone(_, why)) if why == "away"), "{heard:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let standings = all.standings();
    assert_eq!((standings.len(), standings[0].state), (1, State::Open), "{standings:?}");
    all.of(NODES, "two")
        .call("ask", async { Ok::<(), String>(()) }, |_| true)
        .await
        .unwrap()
        .unwrap();
}
