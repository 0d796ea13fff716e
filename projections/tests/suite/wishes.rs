//! What people agreed to and who wants to be forgotten, as the view has them.
use cairn_core::{Subject, Timestamp, UserId};
use cairn_identity::{Erasure, ErasureCommand, Searched};
use cairn_projections::identity::wishes;
use cairn_projections::{At, all};
use sqlx::PgPool;

use crate::world::World;

#[sqlx::test(migrations = "../migrations")]
async fn a_wish_to_be_forgotten_waits_until_it_is_carried_out(pool: PgPool) {
    let world = World::new(pool).await;
    world.person(2).await;
    world.wishes(2).await;
    world.caught_up(all()).await;
    let user_id = UserId::from_bits(2).to_string();
    let said = wishes::consents(&world.pool, &user_id).await.unwrap();
    assert_eq!(said.iter().map(|one| one.given).collect::<Vec<_>>(), [false, true]);
    let pending = wishes::pending(&world.pool, &user_id).await.unwrap().unwrap();
    let (due_at, none) = (Timestamp::from(pending.due_at), Vec::<String>::new());
    let due = async |at| wishes::due(&world.pool, At(at), 10).await.unwrap();
    assert_eq!(due(due_at.plus_secs(-1)).await, none);
    assert_eq!(due(due_at).await, std::slice::from_ref(&user_id));
    let subject = Subject::user(UserId::from_bits(2));
    let (reason, at) = ("asked".to_owned(), world.now());
    let begin =
        ErasureCommand::Begin { subject: subject.clone(), key_id: "k".to_owned(), reason, at };
    world.run::<Erasure>(subject.as_str(), begin).await;
    world.caught_up(all()).await;
    assert_eq!(
        due(due_at).await,
        std::slice::from_ref(&user_id),
        "one that was only begun is gone on with"
    );
    let complete = ErasureCommand::Complete { searched: Searched::default(), at };
    world.run::<Erasure>(subject.as_str(), complete).await;
    world.caught_up(all()).await;
    assert_eq!(due(due_at).await, none);
    world.close().await;
}
