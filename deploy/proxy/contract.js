// What TorchServe says by itself, in the contract's form: {"error": {"code": ..., "message": ...}}.

// What is said instead of TorchServe's own messages, by the code that its class of error gives: those advise what only its
// operator can do, and may carry a caller's text. Of any other class nothing is told but the status.
const MESSAGES = {
  model_not_found: 'this model is not served here: ask for another one',
  model_version_not_found: 'this version of the model is not served here: leave the version out',
  service_unavailable:
    'the server has as many requests waiting as it takes, or no worker is ready; nothing was computed: ' +
    'wait as long as Retry-After says, then send the request again',
  internal_server:
    "the model's worker failed on this request, or ended while it had it: ask again once, and if it happens again " +
    'tell the operator the request id',
};
const BY_STATUS = {
  413: ['too_many_bytes', "the request has more bytes than the server's max_request_size: send a shorter or smaller video"],
};
const REQUEST = ['request_invalid', 'the server cannot read this request: compare it with docs/openapi.yaml'];
const chunks = []; // of this request alone: every request has its own copy of this module

// The length of an error changes; replies pass as they are. In @put the status is what is said here.
function header(r) {
  r.status = Number(r.variables.upstream_status.split(', ').pop());
  r.variables.told = String(r.status);
  if (r.status >= 400) {
    delete r.headersOut['Content-Length'];
    r.headersOut['Content-Type'] = 'application/json';
  }
}

function body(r, data, flags) {
  if (r.status < 400) {
    r.sendBuffer(data, flags);
    r.done(); // the rest of the reply does not come by here
    return;
  }
  chunks.push(data);
  if (flags.last) {
    const text = translated(r.status, Buffer.concat(chunks).toString());
    r.variables.said = codeOf(text);
    r.sendBuffer(text, flags);
  }
}

function translated(status, text) {
  let said;
  try {
    said = JSON.parse(text);
  } catch (error) {
    said = null;
  }
  if (said && said.error && said.error.code) {
    return text; // the handler's own
  }
  const code = said && said.type ? snake(said.type) : '';
  if (Object.keys(MESSAGES).includes(code)) {
    return failure(code, MESSAGES[code]);
  }
  const unknown = [`http_${status}`, `the server answered ${status} and gave no reason; see its log`];
  const known = BY_STATUS[status] || (status < 500 ? REQUEST : unknown);
  return failure(known[0], known[1]);
}

// The code of an error in the contract's form, for the log.
function codeOf(text) {
  const found = /^\{"error": ?\{"code": ?"([a-z0-9_]{1,64})"/.exec(text);
  return found ? found[1] : '';
}

function failure(code, message) {
  return `${JSON.stringify({ error: { code: code, message: message } })}\n`;
}

// TorchServe's "ModelNotFoundException" as "model_not_found".
function snake(kind) {
  return String(kind).replace(/Exception$/, '').replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

// GET /v1/models/NAME of KServe: whether this model can be asked.
async function model(r) {
  const name = r.variables.model;
  r.headersOut['Content-Type'] = 'application/json';
  const reply = await r.subrequest('/ready', { method: 'GET' });
  if (reply.status !== 200) {
    r.return(503, reply.responseText);
  } else if (!Object.keys(JSON.parse(reply.responseText).models || {}).includes(name)) {
    r.return(404, failure('model_not_found', `no model ${name} is served here: ask for another one`));
  } else {
    r.return(200, `${JSON.stringify({ name: name, ready: true })}\n`);
  }
}

export default { header, body, model };
