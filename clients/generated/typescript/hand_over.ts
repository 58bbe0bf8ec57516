// One hand-over with the types that a generator made of the API's description; says each state that it reaches.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./relais.js";

type Relais = Client<paths>;
type Referral = components["schemas"]["ReferralView"];
type Enrolled = { client_id: string; client_secret: string; organisation_id: string; scopes: string[] };
type Answer<T> = { data?: T; error?: unknown; response: Response };

const demo: { base_url: string; clients: Enrolled[] } = JSON.parse(
  readFileSync(process.env["RELAIS_DEMO_FILE"] ?? "", "utf-8"),
);
const needed = ["directory:read", "referral:send", "referral:receive"];
const [one, two] = demo.clients.filter((client) => needed.every((scope) => client.scopes.includes(scope)));
if (!one || !two) throw new Error("two clients are needed");

/** Answer what was hoped for, or stop with the problem. */
function right<T>(answer: Answer<T>): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

/** Answer a client with a token. */
async function opened(client: Enrolled): Promise<Relais> {
  const pair = Buffer.from(`${client.client_id}:${client.client_secret}`).toString("base64");
  const door = createClient<paths>({ baseUrl: demo.base_url, headers: { Authorization: `Basic ${pair}` } });
  const given = right(
    await door.POST("/oauth2/token", {
      body: { grant_type: "client_credentials" },
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
    }),
  );
  return createClient<paths>({ baseUrl: demo.base_url, headers: { Authorization: `Bearer ${given.access_token}` } });
}

/** Answer a referral and its version; say its state. */
function step(answer: Answer<Referral>): { referral: Referral; version: string } {
  const referral = right(answer);
  console.log(referral.state);
  return { referral, version: answer.response.headers.get("etag") ?? "" };
}

const [ana, ben] = [await opened(one), await opened(two)];
const found = right(
  await ana.GET("/v1/directory/search", { params: { query: { organisation_id: two.organisation_id, limit: 100 } } }),
);
const card = found.items.find((item) => item.can_receive === "relais");
if (!card) throw new Error("no service to hand over to");

const { referral } = step(
  await ana.POST("/v1/referrals", {
    params: { header: { "idempotency-key": randomUUID() } },
    body: {
      recipient: { organisation_id: two.organisation_id, service_id: card.id },
      counsellor: { name: "Ana Lopes" },
      person: {
        identity: { called: "Mina" },
        contact: { phone: "0470 00 00 00" },
        area: { municipality: "be:52011" },
        languages: ["fr"],
      },
      needs: [{ theme: "childcare", words: "une place avant lundi" }],
    },
  }),
);
const path = { referral_id: referral.id };

/** What a step needs beside its body: which referral, and the version that this side reads now. */
async function now(side: Relais) {
  const { response } = await side.GET("/v1/referrals/{referral_id}", { params: { path } });
  return { path, header: { "if-match": response.headers.get("etag") ?? "" } };
}

const consent = right(
  await ana.POST("/v1/referrals/{referral_id}/consents", {
    params: { path, header: { "idempotency-key": randomUUID() } },
    body: {
      purposes: ["referral", "feedback"],
      data_categories: ["identity", "contact", "needs"],
      method: "in_person_oral",
      language: "fr",
      notice_version: "2026-1",
      collected_by: "Ana Lopes",
      given_at: new Date().toISOString(),
    },
  }),
);
step(await ana.POST("/v1/referrals/{referral_id}/propose", { params: await now(ana), body: {} }));
const accepted = step(
  await ben.POST("/v1/referrals/{referral_id}/accept", {
    params: await now(ben),
    body: { counsellor: { name: "Ben Noel" } },
  }),
);
if (accepted.referral.person?.identity?.["called"] !== "Mina") throw new Error("who she is does not open");
step(
  await ben.POST("/v1/referrals/{referral_id}/plan_meeting", { params: await now(ben), body: { to_be_agreed: true } }),
);
for (const side of [ana, ben]) {
  step(await side.POST("/v1/referrals/{referral_id}/confirm_handover", { params: await now(side), body: {} }));
}
step(
  await ben.POST("/v1/referrals/{referral_id}/close", { params: await now(ben), body: { outcome: "under_way" } }),
);
right(await ana.POST("/v1/consents/{consent_id}/withdraw", { params: { path: { consent_id: consent.id } }, body: {} }));
step(await ben.GET("/v1/referrals/{referral_id}", { params: { path } }));
