# An auth script for nginx's mail proxy, as nginx's embedded Perl runs one. IMAP_PORT, POP3_PORT and
# SMTP_PORT say where the mail servers are.
package mailauth;

use strict;
use warnings;
use Digest::MD5 qw(md5 md5_hex);
use nginx;

my %users = (ann => "secret", bob => "p w%");

sub hmac_md5_hex {
    my ($text, $key) = @_;
    $key = md5($key) if length $key > 64;
    $key .= "\0" x (64 - length $key);
    return md5_hex(($key ^ ("\x5c" x 64)) . md5(($key ^ ("\x36" x 64)) . $text));
}

sub unescape {
    my $text = shift // "";
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $text;
}

# Whether the user has shown that the password is known, in the method that was chosen.
sub is_right {
    my ($r, $password) = @_;
    my $method = $r->header_in("Auth-Method");
    my $shown = unescape($r->header_in("Auth-Pass"));
    my $salt = $r->header_in("Auth-Salt");
    return $shown eq $password if $method eq "plain";
    return $shown eq md5_hex($salt . $password) if $method eq "apop";
    return $shown eq hmac_md5_hex($salt, $password) if $method eq "cram-md5";
    return 0;
}

sub handler {
    my $r = shift;
    my $protocol = $r->header_in("Auth-Protocol");
    my $fine;
    if ($r->header_in("Auth-Method") eq "none") {
        $fine = ($r->header_in("Auth-SMTP-To") // "") =~ /<ann\@/i;
        $r->header_out("Auth-Error-Code", "550 5.1.1") unless $fine;
    } else {
        my $password = $users{unescape($r->header_in("Auth-User"))};
        $fine = defined $password && is_right($r, $password);
        $r->header_out("Auth-Pass", $password) if $fine;
    }
    if ($fine) {
        $r->header_out("Auth-Status", "OK");
        $r->header_out("Auth-Server", "127.0.0.1");
        $r->header_out("Auth-Port", $ENV{uc($protocol) . "_PORT"});
    } else {
        $r->header_out("Auth-Status", "Invalid login or password");
    }
    $r->send_http_header("text/html");
    return OK;
}

1;
