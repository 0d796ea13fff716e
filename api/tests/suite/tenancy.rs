//! Row-level security: the second lock, tried with queries that forget the first, and with roles that may too much.
use cairn_commands::ledger::{GrantCredit, grant_credit};
use cairn_core::{Currency, Money, OrganisationId, Timestamp};
use cairn_identity::Role;
use cairn_projections::Tenancy;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Row as _};

use crate::cli::Shell;
use crate::person::Person;
use crate::rates::serve;
use crate::support::{SSH_KEY, Stage};

/// What each organisation of the test has rows in.
const FILLED: [&str; 10] = [
    "ledger_wallets",
    "ledger_wallet_credits",
    "ledger_statement_lines",
    "payments_payments",
    "compute_allocations",
    "identity_api_keys",
    "identity_members",
    "identity_service_accounts",
    "identity_projects",
    "operations_inbox_notices",
];

fn tenant(organisation_id: OrganisationId, actor: &str) -> Tenancy {
    Tenancy::Tenant { organisation_id: Some(organisation_id), actor: actor.to_owned() }
}

/// Whose rows a query without any condition finds.
async fn found(pool: &PgPool, whom: &Tenancy, table: &str) -> Vec<Option<String>> {
    let mut db = whom.begin(pool).await.unwrap();
    let query = format!("SELECT DISTINCT organisation_id FROM {table} ORDER BY 1");
    let rows = db.fetch_all(&*query).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// An organisation with a machine and money.
async fn furnished(stage: &Stage, name: &str) -> OrganisationId {
    let mut owner = Person::signed_in(stage, &format!("{name}@example.org")).await;
    let id = owner.found(name).await;
    let key = stage.caller_of(Role::Owner, id).await;
    let program = serde_json::json!({ "name": "deployments", "role": "viewer" });
    assert_eq!(owner.post("/v1/service-accounts", &program).await.status, 201);
    let project = serde_json::json!({ "name": "search" });
    assert_eq!(owner.post("/v1/projects", &project).await.status, 201);
    key.top_up("20.00").await;
    let credit = GrantCredit {
        organisation_id: id,
        amount: Money::new(5_000_000_000, Currency::USD),
        expires_at: Timestamp::from_secs(4_000_000_000),
        reason: "welcome".to_owned(),
    };
    grant_credit(&stage.commands, &stage.context(), credit).await.unwrap();
    let rent =
        serde_json::json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let allocation = key.post("/v1/allocations", &rent).await.text("/allocation_id");
    key.until(&format!("/v1/allocations/{allocation}"), |a| a["status"] == "active").await;
    key.until("/v1/inbox", |inbox| inbox["unread"] != 0).await;
    id
}

async fn refused(pool: &PgPool, whom: &Tenancy, statement: &str) -> String {
    let mut db = whom.begin(pool).await.unwrap();
    let refusal = db.execute(statement).await.unwrap_err();
    refusal.as_database_error().and_then(|it| it.code()).unwrap().into_owned()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_query_that_forgets_whose_finds_a_tenant_only_its_own(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    let one = furnished(&stage, "one").await;
    let other = furnished(&stage, "other").await;
    let pool = stage.commands.executor.log().pool();
    let (one_sees, nobody_sees) =
        (tenant(one, "key_1"), tenant(stage.nobody().organisation_id, ""));
    for table in FILLED {
        let all = found(pool, &Tenancy::Platform, table).await;
        for id in [one, other] {
            assert!(all.contains(&Some(id.to_string())), "{table} has no row of {id}: {all:?}");
        }
        assert_eq!(found(pool, &one_sees, table).await, [Some(one.to_string())], "{table}");
        assert_eq!(found(pool, &nobody_sees, table).await, [None; 0], "{table}");
    }

    // A person is seen where they belong, and sees what they belong to.
    let people = "SELECT count(*) FROM identity_users";
    let count = async |whom: &Tenancy| -> i64 {
        whom.begin(pool).await.unwrap().fetch_one(people).await.unwrap().get(0)
    };
    assert_eq!((count(&Tenancy::Platform).await, count(&one_sees).await), (2, 1));
    let member = "SELECT user_id FROM identity_members WHERE organisation_id = $1";
    let member = sqlx::query_scalar(member).bind(one.to_string()).fetch_one(pool).await.unwrap();
    let itself = Tenancy::Tenant { organisation_id: None, actor: member };
    assert_eq!(count(&itself).await, 1);
    assert_eq!(found(pool, &itself, "identity_organisations").await, [Some(one.to_string())]);
    assert_eq!(found(pool, &itself, "payments_payments").await, [None; 0]);

    for (statement, code) in [
        ("SELECT FROM events", "42501"),
        ("SELECT FROM operations_audit_entries", "42501"),
        ("SELECT FROM privacy_subject_keys", "42501"),
        ("DELETE FROM compute_allocations", "25006"),
        ("CREATE TABLE mine (x int)", "25006"),
    ] {
        assert_eq!(refused(pool, &one_sees, statement).await, code, "{statement}");
    }
    // Whoever reads for the platform writes nothing either.
    let writes = "UPDATE identity_members SET role = 'owner'";
    assert_eq!(refused(pool, &Tenancy::Platform, writes).await, "25006");
    // The next user of the connection is the application again.
    let acting: String = sqlx::query_scalar(
        "SELECT current_user::text || coalesce(current_setting('cairn.organisation', true), '')",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(acting, "cairn_app");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_does_not_start_when_the_rows_of_customers_are_not_guarded(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let mut owner = PgConnection::connect_with(&options).await.unwrap();
    owner.execute("ALTER TABLE payments_payments NO FORCE ROW LEVEL SECURITY").await.unwrap();
    let shell = Shell::new(&options).with("CAIRN_RATE_LIMITS", "off");
    let said = shell.run("serve --dev").await;
    assert_eq!(said.code(), 1, "{}", said.talk());
    assert!(said.talk().contains("rights_unfit"), "{}", said.talk());
    assert!(
        said.talk().contains("the rows of payments_payments are not guarded"),
        "{}",
        said.talk()
    );
    let said = shell.run("doctor").await;
    assert_eq!(said.code(), 1);
    assert!(said.data().contains("payments_payments are not guarded"), "{}", said.data());
    owner.close().await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_runs_under_a_login_that_owns_nothing(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let mut owner = PgConnection::connect_with(&options).await.unwrap();
    let login = "DO $$ BEGIN CREATE ROLE cairn_test_login LOGIN IN ROLE cairn_app; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    owner.execute(login).await.unwrap();
    let shell = Shell::new(&options.username("cairn_test_login"))
        .with("STRIPE_SECRET_KEY", "sk_test_house")
        .with("STRIPE_WEBHOOK_SECRET", "whsec_house")
        .with("STRIPE_API_BASE", "http://127.0.0.1:9");
    let looked = shell.json("doctor").await;
    let of = |check: &str| {
        let found = looked.as_array().unwrap().iter().find(|found| found["check"] == check);
        found.unwrap().clone()
    };
    assert_eq!(of("login")["ok"], true, "{looked}");
    assert_eq!(of("rights")["ok"], true, "{looked}");
    let serving = serve(&shell, "serve").await;
    let ready = reqwest::get(format!("{}/livez", serving.base)).await.unwrap();
    assert_eq!(ready.status(), 200);
    owner.close().await.unwrap();
}
