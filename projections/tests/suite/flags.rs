//! Feature flags, as the view has them.
use cairn_operations::FeatureFlagCommand;
use cairn_projections::all;
use cairn_projections::operations::feature_flags;
use sqlx::PgPool;

use crate::world::{World, organisation};

#[sqlx::test(migrations = "../migrations")]
async fn a_flag_shows_what_was_decided_and_decides_alike(pool: PgPool) {
    let world = World::new(pool).await;
    world.flags((organisation(1), organisation(2))).await;
    world.caught_up(all()).await;
    let flag = feature_flags::get(&world.pool, "pause_rentals").await.unwrap().unwrap();
    assert_eq!((flag.percentage, flag.description.as_str()), (25, "No new rentals"));
    let overrides: Vec<_> =
        flag.overrides.iter().map(|one| (one.organisation_id.clone(), one.is_on)).collect();
    assert_eq!(overrides, [(organisation(1).to_string(), false)], "the other one was cleared");
    let in_use = feature_flags::in_use(&world.pool).await.unwrap();
    let decides = &in_use["pause_rentals"];
    assert!(!decides.is_on_for(organisation(1)));
    let on = (1..=400).filter(|number| decides.is_on_for(organisation(*number))).count();
    assert!((60..=140).contains(&on), "a quarter of 400 is not {on}");
    let archive = FeatureFlagCommand::Archive { reason: "over".to_owned(), at: world.now() };
    world.flag("pause_rentals", archive).await;
    world.caught_up(all()).await;
    assert!(feature_flags::in_use(&world.pool).await.unwrap().is_empty());
    let kept = feature_flags::list(&world.pool, None, 10).await.unwrap().items;
    assert!(kept[0].archived_at.is_some());
    world.close().await;
}
