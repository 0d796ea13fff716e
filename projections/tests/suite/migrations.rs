//! The schema goes back and forth, and the views come back whole.
use cairn_event_log::MIGRATOR;
use cairn_fleet::{NodeCommand, Usage};
use cairn_projections::fleet::nodes;
use cairn_projections::{Rebuild, all};
use sqlx::PgPool;

use crate::story::node;
use crate::world::World;

/// The last migration before the nodes had a health.
const BEFORE_HEALTH: i64 = 20_261_120_000_207;

#[sqlx::test(migrations = "../migrations")]
async fn a_view_that_lost_a_column_is_folded_anew_when_it_is_back(pool: PgPool) {
    let world = World::new(pool).await;
    world.enrol(1).await;
    let at = world.now();
    for seconds in [0, 30] {
        let usage = Usage { memory_permille: 960, ..Usage::default() };
        let at = at.plus_secs(seconds);
        world.on_node(1, NodeCommand::ObserveUsage { usage, at }).await;
    }
    let projector = world.caught_up(all()).await;
    let before = projector.digest(nodes::NAME).await.unwrap();
    let health = async || nodes::get(&world.pool, &node(1).to_string()).await.unwrap();
    assert_eq!(health().await.unwrap().health, "degraded");

    MIGRATOR.undo(&world.pool, BEFORE_HEALTH).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM fleet_nodes)
        + (SELECT count(*) FROM projection_checkpoints WHERE name = 'fleet/nodes')";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&world.pool).await.unwrap();
    assert_eq!(left, 0, "an older program finds rows or a place that are not its own");
    MIGRATOR.run(&world.pool).await.unwrap();

    let projector = world.caught_up(all()).await;
    assert_eq!(health().await.unwrap().health, "degraded");
    assert_eq!(projector.digest(nodes::NAME).await.unwrap(), before);
    projector.rebuild(nodes::NAME, &Rebuild::default()).await.unwrap();
    assert_eq!(projector.digest(nodes::NAME).await.unwrap(), before);
    world.close().await;
}
