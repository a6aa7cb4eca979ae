// Sends one mail with Nodemailer. Arguments: port, user, password, recipient,
// mechanism, and "tls" or "starttls" if wanted. Prints one JSON object.
const nodemailer = require("nodemailer");

const [port, user, pass, to, authMethod, mode] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port: Number(port),
  secure: mode === "tls",
  requireTLS: mode === "starttls",
  ignoreTLS: !mode,
  authMethod,
  auth: { user, pass },
});

transport
  .sendMail({ from: user, to, subject: "from Nodemailer", text: "body\n.\nafter a dot\n" })
  .then((info) => console.log(JSON.stringify({ accepted: info.accepted, response: info.response })))
  .catch((error) => {
    console.log(JSON.stringify({ error: error.code, code: error.responseCode }));
    process.exit(1);
  });
