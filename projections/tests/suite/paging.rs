//! Pages cover everything once while rows are added, and a foreign organisation sees nothing.
use std::collections::HashSet;

use cairn_projections::compute::{allocations, timeline};
use cairn_projections::identity::api_keys;
use cairn_projections::ledger::{balances, statement};
use cairn_projections::operations::audit;
use cairn_projections::payments::{payments, refunds};
use cairn_projections::{QueryError, all};
use sqlx::PgPool;

use crate::story::{CURRENCY, allocation, payment};
use crate::world::{PATIENCE, Running, World, organisation};

#[sqlx::test(migrations = "../migrations")]
async fn pages_cover_all_once_while_rows_are_inserted(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 0..60 {
        world.request(organisation(number % 2), number).await;
    }
    let projector = world.caught_up(all()).await;
    let running = Running::start(&projector);
    let filter = allocations::Filter {
        organisation: Some(organisation(0)),
        ..allocations::Filter::default()
    };
    let (mut seen, mut after, mut added) = (vec![], None, 1_000);
    loop {
        let page = allocations::list(&world.pool, filter.clone(), after, 7).await.unwrap();
        seen.extend(page.items.iter().map(|row| row.allocation_id.clone()));
        let position = world.request(organisation(0), added).await;
        added += 1;
        projector.wait_for(position, PATIENCE).await.unwrap();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    running.stop().await;
    let expected: Vec<String> =
        (0..60).rev().step_by(2).map(|n| allocation(n - 1).to_string()).collect();
    assert_eq!(seen, expected, "newest first, each once, and none that came later");
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn every_list_pages_through_all_of_its_rows(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    for number in 10..30 {
        world.pay(organisation(1), number, 5).await;
    }
    world.caught_up(all()).await;
    let (pool, one) = (&world.pool, Some(organisation(1)));
    macro_rules! walk {
        ($list:expr, $id:expr) => {{
            let (mut seen, mut after, mut pages) = (vec![], None, 0);
            loop {
                let page = $list(after).await.unwrap();
                seen.extend(page.items.iter().map($id));
                (after, pages) = (page.next, pages + 1);
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "a row came twice");
            assert!(pages > 1, "one page proves nothing");
            seen
        }};
    }
    let all = walk!(|after| payments::list(pool, one, after, 4), |row| row.payment_id.clone());
    assert_eq!(all.len(), 21);
    let lines =
        walk!(|after| statement::list(pool, organisation(1), None, after, 4), |row| row.position);
    assert!(lines.len() > 21 && lines.is_sorted_by(|a, b| a > b));
    let filter = audit::Filter::default();
    let entries = walk!(|after| audit::list(pool, filter.clone(), after, 50), |row| row.position);
    let head = world.log.head().await.unwrap();
    assert_eq!(entries, (1..=head).rev().collect::<Vec<_>>(), "one row per event");
    let bad = payments::list(pool, one, Some("'; DROP TABLE".to_owned()), 4).await;
    assert!(matches!(bad, Err(QueryError::BadCursor(_))));
    let tiny = payments::list(pool, one, None, -3).await.unwrap();
    assert_eq!(tiny.items.len(), 1);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_foreign_organisation_sees_what_a_missing_id_shows(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    world.caught_up(all()).await;
    let (pool, owner, foreign) = (&world.pool, Some(organisation(1)), Some(organisation(3)));
    let paid = payment(1).to_string();
    assert!(payments::get(pool, owner, &paid).await.unwrap().is_some());
    assert!(payments::get(pool, None, &paid).await.unwrap().is_some());
    assert!(payments::get(pool, foreign, &paid).await.unwrap().is_none());
    let rented = allocation(1).to_string();
    assert!(allocations::get(pool, owner, &rented).await.unwrap().is_some());
    assert!(allocations::get(pool, foreign, &rented).await.unwrap().is_none());
    assert!(!timeline::list(pool, owner, &rented).await.unwrap().is_empty());
    assert!(timeline::list(pool, foreign, &rented).await.unwrap().is_empty());
    let filter = allocations::Filter { organisation: foreign, ..allocations::Filter::default() };
    assert!(allocations::list(pool, filter, None, 10).await.unwrap().items.is_empty());
    let filter = refunds::Filter { organisation: foreign, payment_id: None };
    assert!(refunds::list(pool, filter, None, 10).await.unwrap().items.is_empty());
    assert!(balances::get(pool, organisation(3), CURRENCY).await.unwrap().is_none());
    assert!(balances::list(pool, foreign, None, None, 10).await.unwrap().items.is_empty());
    assert!(api_keys::list(pool, (foreign, None), None, 10).await.unwrap().items.is_empty());
    let lines = statement::list(pool, organisation(3), None, None, 10).await.unwrap();
    assert!(lines.items.is_empty());
    let filter = audit::Filter { organisation: foreign, ..audit::Filter::default() };
    assert!(audit::list(pool, filter, None, 10).await.unwrap().items.is_empty());
    world.close().await;
}
