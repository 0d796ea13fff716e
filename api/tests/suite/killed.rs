//! SIGKILL under load, of the server and of the whole PostgreSQL tree: what was acknowledged is there, what was in doubt is
//! answered for good, and nothing counts twice.
use crate::house::House;
use crate::load::{self, Load, Tally};
use crate::settled::settle;

/// Answered wishes before each kill.
const ROUNDS: [usize; 3] = [40, 55, 47];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_load_loses_and_doubles_nothing() {
    let mut house = House::build().await;
    house.open().await;
    load::open_shop(&house.caller("platform_operator").await).await;
    let customer = house.caller("owner").await;
    let (mut wishes, mut tally) = (vec![], Tally::default());
    for (round, enough) in ROUNDS.into_iter().enumerate() {
        let load = Load::start(&house.moved(&customer), round);
        load.until_answered(enough).await;
        tally.under_way += load.under_way();
        house.kill().await;
        let mut wished = load.end().await;
        house.open().await;
        load::ask_again(&house.moved(&customer), &mut wished, &mut tally).await;
        wishes.extend(wished);
    }
    assert!(tally.in_doubt > 0, "the kill hit nothing: {tally:?}");
    assert!(tally.acknowledged >= ROUNDS.iter().sum(), "{tally:?}");
    settle(house, &customer, &wishes, &tally).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_under_load_loses_and_doubles_nothing() {
    let mut house = House::build().await;
    house.open().await;
    load::open_shop(&house.caller("platform_operator").await).await;
    let customer = house.caller("owner").await;
    let (mut wishes, mut tally) = (vec![], Tally::default());
    for (round, enough) in ROUNDS.into_iter().enumerate() {
        let mut cluster = house.cluster().await;
        let load = Load::start(&customer, round);
        load.until_answered(enough).await;
        // Joined for the moment of the kill only: to bring it up again is the server's affair.
        let killed = tokio::task::spawn_blocking(move || {
            let before = cluster.pid();
            cluster.kill_tree();
            before
        });
        assert!(killed.await.unwrap().is_some(), "there was nothing to kill");
        tally.under_way += load.under_way();
        let mut wished = load.end().await;
        assert!(house.is_open(), "the server outlives its database");
        load::ask_again(&customer, &mut wished, &mut tally).await;
        wishes.extend(wished);
    }
    assert!(tally.acknowledged >= ROUNDS.iter().sum(), "{tally:?}");
    settle(house, &customer, &wishes, &tally).await;
}
