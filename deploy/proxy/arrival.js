// Bounds the time that a request takes to arrive as a whole: nginx by itself bounds only the time between two bytes.
// It looks at two counters now and then, and touches no byte: njs never frees what it was given of a connection, nor the
// 400 bytes of a timer, so it looks seldom, and a connection has an age.

const LOOK_MS = 20000;

// Cut a connection on which bytes of a caller still come after `arrival_seconds` in which the caller got none, or after
// `connection_seconds` in all: what TLS sends by itself, at a caller's wish, looks like an answer.
function bound(s) {
  const most = Number(s.variables.arrival_seconds) * 1000;
  const oldest = Date.now() + Number(s.variables.connection_seconds) * 1000;
  const every = Math.min(LOOK_MS, most / 2);
  let sent = 0, received = 0, began = 0;

  function look() {
    const now = Date.now();
    const nowSent = s.variables.bytes_sent;
    const nowReceived = s.variables.bytes_received;
    if (nowReceived !== received && now > oldest) {
      throw new Error('a connection is too old'); // ends it
    }
    if (nowSent !== sent) {
      began = 0; // an answer: what comes next is another request
    } else if (nowReceived !== received && !began) {
      began = now;
    } else if (nowReceived !== received && now - began > most) {
      throw new Error('a request took too long to arrive');
    }
    sent = nowSent;
    received = nowReceived;
    setTimeout(look, every);
  }

  setTimeout(look, every);
}

export default {bound};
