// The brain's events. A browser has six connections to a server: of all windows that are seen one holds a stream, and hands
// on what it hears.

const NAME = "foreshadow";
const KINDS = ["tick", "quiet"];

// Calls `hear(kind, event's data)` for each event, and `fail()` whenever the stream breaks off, whoever holds it.
export function listen(hear, fail) {
  const others = new BroadcastChannel(NAME);
  let source; // where this window holds the stream
  let leave = () => {};

  function open() {
    source = new EventSource("/api/v1/stream");
    for (const kind of KINDS) {
      source.addEventListener(kind, ({data}) => {
        if (navigator.locks) others.postMessage({kind, data});
        hear(kind, JSON.parse(data));
      });
    }
    source.addEventListener("error", ({target}) => {
      if (target !== source) return;
      if (navigator.locks) others.postMessage({kind: "fail"});
      fail();
      // The browser tries again by itself, except after a refusal.
      if (target.readyState === EventSource.CLOSED) setTimeout(() => { if (target === source) open(); }, 5_000);
    });
  }

  // Waits for its turn. Without locks, as in the clear from elsewhere, each window that is seen has a stream.
  function join() {
    if (document.hidden) return;
    leave();
    if (!navigator.locks) {
      open();
      leave = close;
      return;
    }
    const waiting = new AbortController();
    const until = new Promise((end) => { leave = () => { waiting.abort(); close(); end(); }; });
    navigator.locks.request(NAME, {signal: waiting.signal}, () => { open(); return until; }).catch(({name}) => {
      // Refused, as where a site may keep nothing: as without locks.
      if (name === "AbortError" || waiting.signal.aborted) return;
      open();
      leave = close;
    });
  }

  function close() {
    source?.close();
    source = undefined;
  }

  others.addEventListener("message", ({data: {kind, data}}) => (kind === "fail" ? fail() : hear(kind, JSON.parse(data))));
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : join()));
  // A page that was left may be kept for the way back, and the stream is another window's meanwhile.
  window.addEventListener("pagehide", () => leave());
  window.addEventListener("pageshow", (event) => { if (event.persisted) join(); });
  join();
}
