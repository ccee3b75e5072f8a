// Whether a request's API key is known, and covers the model that it asks for.
//
// The keys file has one key a line: NAME, the SHA-256 of the key in 64 hex digits, and optionally models=A,B and
// until=2030-01-31T00:00:00Z; lines that are empty or begin with # are skipped. It is read for every request, so a key
// that is added or taken away counts from the next request on. A line that is not of that form lets nobody in.
import crypto from 'crypto';
import fs from 'fs';

const LINE = /^([A-Za-z0-9][A-Za-z0-9._-]{0,63})[ \t]+([0-9a-f]{64})((?:[ \t]+[a-z]+=[^ \t]+)*)[ \t]*$/;

// The value of $verdict: "ok NAME", "forbidden NAME", "missing", "unknown", "expired" or "unreadable".
function verdict(r) {
  const header = r.headersIn.Authorization;
  if (!header) {
    return 'missing';
  }
  const sent = /^Bearer +([\x21-\x7e]{1,512})$/i.exec(header);
  if (!sent) {
    return 'unknown';
  }
  let text;
  try {
    text = fs.readFileSync(r.variables.keys_file, 'utf8');
  } catch (error) {
    r.error(`the keys file cannot be read: ${error.message}`);
    return 'unreadable';
  }
  const entry = find(r, text, crypto.createHash('sha256').update(sent[1]).digest('hex'));
  if (!entry) {
    return 'unknown';
  }
  if (entry.until <= Date.now()) {
    return 'expired';
  }
  const covered = !entry.models || !r.variables.model || entry.models.includes(r.variables.model);
  return `${covered ? 'ok' : 'forbidden'} ${entry.name}`;
}

// The value of $keys_there: whether keys can be checked at all.
function there(r) {
  try {
    fs.accessSync(r.variables.keys_file, fs.constants.R_OK);
    return 'yes';
  } catch (error) {
    r.error(`the keys file cannot be read: ${error.message}`);
    return 'no';
  }
}

// The entry whose digest this is. A plain search, as fast for a thousand keys as for one: its time could tell at most how
// near the digest of a guess is to one in the file, and that leads to no key of 256 random bits.
function find(r, text, digest) {
  for (let at = text.indexOf(digest); at >= 0; at = text.indexOf(digest, at + 1)) {
    const end = text.indexOf('\n', at);
    const line = text.slice(text.lastIndexOf('\n', at) + 1, end < 0 ? text.length : end).trim();
    const entry = parse(line);
    if (entry && entry.digest === digest) {
      return entry;
    }
    if (!entry && !line.startsWith('#')) {
      const number = text.slice(0, at).split('\n').length;
      r.error(`line ${number} of the keys file is not NAME SHA256 [models=A,B] [until=TIME]; it lets nobody in`);
    }
  }
  return null;
}

function parse(line) {
  const parts = LINE.exec(line);
  if (!parts) {
    return null;
  }
  const entry = { name: parts[1], digest: parts[2], models: null, until: Infinity };
  const options = parts[3].split(/[ \t]+/).filter((option) => option);
  for (let i = 0; i < options.length; i++) {
    const at = options[i].indexOf('=');
    const name = options[i].slice(0, at);
    const value = options[i].slice(at + 1);
    if (name === 'models') {
      entry.models = value.split(',');
    } else if (name === 'until') {
      entry.until = Date.parse(value);
      // Back and forth, as there is no 31st of February.
      if (isNaN(entry.until) || new Date(entry.until).toISOString().replace('.000Z', 'Z') !== value) {
        return null;
      }
    } else {
      return null;
    }
  }
  return entry;
}

export default { verdict, there };
