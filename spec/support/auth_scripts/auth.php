<?php
// An auth script for nginx's mail proxy, as one lies behind a web server: the request's fields are
// in $_SERVER, the answer's are sent by header(). IMAP_PORT, POP3_PORT and SMTP_PORT say where the
// mail servers are.

$users = ["ann" => "secret", "bob" => "p w%"];

function refuse(string $words): void
{
    header("Auth-Status: $words");
    if ((int) $_SERVER["HTTP_AUTH_LOGIN_ATTEMPT"] < 3) {
        header("Auth-Wait: 1");
    }
    exit;
}

if (!isset($_SERVER["HTTP_AUTH_USER"]) || !isset($_SERVER["HTTP_AUTH_PASS"])) {
    refuse("No user or no password");
}

$user = rawurldecode($_SERVER["HTTP_AUTH_USER"]);
$password = rawurldecode($_SERVER["HTTP_AUTH_PASS"]);
$protocol = $_SERVER["HTTP_AUTH_PROTOCOL"];

if (!isset($users[$user]) || !hash_equals($users[$user], $password)) {
    refuse("Invalid login or password");
}

header("Auth-Status: OK");
header("Auth-Server: 127.0.0.1");
header("Auth-Port: " . getenv(strtoupper($protocol) . "_PORT"));
