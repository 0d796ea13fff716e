/**
 * A customer pays in, rents a machine, waits until it can be logged in to, and gives it back. Run it against `cairn demo`:
 *
 *     CAIRN_URL=http://127.0.0.1:8080 CAIRN_KEY=cairn_test_… SSH_PUBLIC_KEY="$(cat ~/.ssh/id_ed25519.pub)" npm run example
 */
import { CairnError, createCairn, everything, once, unwrap, until } from "../src/index.js";

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}`);
  return value;
}

const cairn = createCairn({ baseUrl: setting("CAIRN_URL"), apiKey: setting("CAIRN_KEY") });

// Pay in. The key is made once, so that a lost answer can be asked for again without paying twice.
const wish = {
  params: { header: once() },
  body: { amount: "5.00", currency: "USD" as const, payment_method: "pm_card_visa" },
};
const { top_up_id } = unwrap(await cairn.POST("/v1/top-ups", wish));
const again = unwrap(await cairn.POST("/v1/top-ups", wish));
if (again.top_up_id !== top_up_id) throw new Error("a repeat paid twice");
const topUp = await until(
  async () => unwrap(await cairn.GET("/v1/top-ups/{top_up_id}", { params: { path: { top_up_id } } })),
  (seen) => seen.status === "succeeded" || seen.status === "failed",
);
console.log(`paid in ${topUp.amount} ${topUp.currency}: ${topUp.status}`);

// What is for sale?
for await (const sku of everything(async (cursor) =>
  unwrap(await cairn.GET("/v1/skus", { params: { query: { limit: 1, ...(cursor && { cursor }) } } })),
)) {
  console.log(`for sale: ${sku.sku_id}`);
}

// Rent, and wait until Cairn itself has logged in.
const { allocation_id } = unwrap(
  await cairn.POST("/v1/allocations", {
    params: { header: once() },
    body: { sku_id: "small", currency: "USD", ssh_public_key: setting("SSH_PUBLIC_KEY") },
  }),
);
const allocation = async () =>
  unwrap(await cairn.GET("/v1/allocations/{allocation_id}", { params: { path: { allocation_id } } }));
const active = await until(allocation, (seen) => seen.status === "active" || Boolean(seen.failure));
if (!active.ssh) throw new Error(`no machine: ${JSON.stringify(active.failure)}`);
const { login, address, port } = active.ssh;
console.log(`log in with: ssh -p ${port} ${login}@${address}`);

// Give it back, and see what it cost.
unwrap(
  await cairn.POST("/v1/allocations/{allocation_id}/release", {
    params: { header: once(), path: { allocation_id } },
    body: {},
  }),
);
const released = await until(allocation, (seen) => seen.status === "released");
console.log(`used ${released.active_seconds} s for ${released.charged} ${released.currency}`);

// A refusal has a code that never changes its meaning.
try {
  unwrap(await cairn.GET("/v1/allocations/{allocation_id}", { params: { path: { allocation_id: "alloc_none" } } }));
  throw new Error("what does not exist was found");
} catch (error) {
  if (!(error instanceof CairnError)) throw error;
  console.log(`refused as it should be: ${error.problem?.code}`);
}
