// A switch at the foot of the page: the browser says when a long job has ended while the page is not seen. It asks the
// person's leave at the click on the switch and never else; where it may not notify, the page says why.
(() => {
  const LONG_MS = 8000; // of a shorter job the person has not turned away
  const NAME = 'fusion_notify';
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem(NAME) === 'on'; } catch { return false; } };
  const keep = (on) => { try { localStorage.setItem(NAME, on ? 'on' : 'off'); } catch { /* private window */ } };
  // Browsers on Android notify from service workers alone, and this page has none.
  const isPossible = () => 'Notification' in window && isSecureContext && !/Android/i.test(navigator.userAgent);
  const isOn = () => isPossible() && Notification.permission === 'granted' && kept();
  const text = (name) => window.fusion.texts[root.dataset.lang][name];

  function show(problem = '') {
    const button = document.querySelector('[data-notify]');
    if (!button) return;
    button.setAttribute('aria-checked', String(isOn()));
    for (const said of document.querySelectorAll('[data-notify-problem]')) said.hidden = said.dataset.notifyProblem !== problem;
  }

  async function turn() {
    if (!isPossible()) return show('impossible');
    if (isOn()) { keep(false); return show(); }
    const permission = Notification.permission === 'default' ? await Notification.requestPermission() : Notification.permission;
    keep(permission === 'granted');
    return show(permission === 'granted' ? '' : 'denied');
  }

  document.addEventListener('click', ({ target }) => { if (target.closest('[data-notify]')) turn(); });

  const began = new Map(); // tab -> when its job was first seen

  // Told by addresses.js whenever the tabs that work have changed. cards: tab -> its result card now.
  window.fusion.worked = (busy, cards) => {
    for (const tab of busy) if (!began.has(tab)) began.set(tab, Date.now());
    for (const [tab, since] of [...began]) {
      if (busy.has(tab)) continue;
      began.delete(tab);
      if (document.hidden && isOn() && Date.now() - since >= LONG_MS) tell(tab, cards(tab));
    }
  };

  function tell(tab, card) {
    const button = document.querySelector(`#tab-${tab}-button`);
    const body = text(card?.classList.contains('is-error') ? 'notify.failed' : 'notify.ended');
    const said = new Notification(`${button?.innerText ?? ''} · Fusion Studio`, { body, tag: `fusion-${tab}` });
    said.onclick = () => { window.focus(); button?.click(); said.close(); };
  }

  addEventListener('fusion-addresses', () => show(), { once: true });
})();
