// Logs in with ImapFlow, appends a mail, waits in IDLE for it, reads it back.
// Arguments: port, user, password, and "tls" or "starttls" if wanted. Prints one JSON object.
const { ImapFlow } = require("imapflow");

const [port, user, pass, mode] = process.argv.slice(2);
const options = {
  host: "127.0.0.1",
  port: Number(port),
  secure: mode === "tls",
  doSTARTTLS: mode === "starttls",
  logger: false,
  auth: { user, pass },
};
const client = new ImapFlow(options);

async function main() {
  await client.connect();
  const before = (await client.mailboxOpen("INBOX")).exists;
  const arrived = new Promise((resolve) => {
    client.on("exists", ({ count }) => count > before && resolve(count));
  });
  const idling = client.idle();
  const other = new ImapFlow(options);
  await other.connect();
  await other.append("INBOX", "Subject: from ImapFlow\r\n\r\nbody\r\n");
  await other.logout();
  const count = await arrived;
  const last = await client.fetchOne("*", { envelope: true, source: true });
  await idling;
  await client.logout();
  console.log(
    JSON.stringify({
      before,
      count,
      subject: last.envelope.subject,
      source: last.source.toString(),
      idle: client.capabilities.has("IDLE"),
    }),
  );
}

main().catch((error) => {
  console.log(JSON.stringify({ error: error.message, refused: !!error.authenticationFailed }));
  process.exit(1);
});
