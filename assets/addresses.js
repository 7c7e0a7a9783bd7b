// Addresses: the tab and the result that are shown stand in the address, and what an address names is asked for.
// Work in progress: a dot on its tab, in the title and the icon; leaving while it goes on asks first.
(() => {
  const icon = () => document.querySelector('link[rel~="icon"]');
  let plainIcon = '';
  let going = false; // an address was asked for and is not shown yet
  let reached = null; // what the studio said is shown now
  let heard = ''; // the number of the studio's last reply
  let busyTabs = new Set();
  let mark = ''; // in front of the title

  const tabs = () => [...document.querySelectorAll('#tabs [role="tab"][aria-controls]')];
  const nameOf = (button) => button.getAttribute('aria-controls').replace(/^tab-/, '');
  const experiment = () => document.querySelector('#lab-which input:checked')?.value;
  const cardOf = (tab) => document.querySelector(tab === 'lab' ? `#lab-${experiment()} .result-card` : `#${tab}-result .result-card`);

  // The browser's tab has an id as long as it is open: what was given to the page is found again after a reload.
  const kept = (name) => { try { return sessionStorage.getItem(`fusion_${name}`) ?? ''; } catch { return ''; } };
  const keep = (name, value) => { try { sessionStorage.setItem(`fusion_${name}`, value); } catch { /* private window */ } };
  const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const browser = kept('tab') || newId();
  keep('tab', browser);
  addEventListener('pagehide', () => keep('place', document.querySelector('#search-place input:checked')?.value ?? ''));

  function asked() {
    const query = new URLSearchParams(location.search);
    return { tab: query.get('tab') || 'search', entry: query.get('result') || '', run: query.get('run') || '' };
  }

  function shown() {
    const selected = tabs().find((button) => button.getAttribute('aria-selected') === 'true');
    if (!selected) return null;
    const tab = nameOf(selected);
    const { entry = '', run = '' } = cardOf(tab)?.dataset ?? {};
    return { tab, entry, run: entry ? '' : run };
  }

  const same = (one, other) => one.tab === other.tab && one.entry === other.entry && one.run === other.run;

  // The Lab's settings, in the address while its tab is shown: what differs from where the page begins.
  const lab = { experiment: '', settings: {}, names: new Set(['experiment']) };

  function writeLab(query, tab) {
    for (const name of lab.names) query.delete(name);
    if (tab !== 'lab' || !lab.experiment) return;
    query.set('experiment', lab.experiment);
    for (const [name, value] of lab.settings[lab.experiment] ?? []) query.set(name, value);
  }

  window.fusion.settings = (experiment, firsts = [], values = []) => {
    lab.experiment = experiment;
    for (const [name] of firsts) lab.names.add(name);
    if (firsts.length) {
      lab.settings[experiment] = firsts
        .map(([name, first], n) => [name, String(values[n]), first])
        .filter(([, value, first]) => value !== first && value !== 'null');
    }
    const query = new URLSearchParams(location.search);
    if (shown()?.tab !== 'lab') return;
    writeLab(query, 'lab');
    history.replaceState(null, '', `?${query}${location.hash}`);
  };

  // A link to the settings alone: the run beside them is this page's.
  window.fusion.settingsLink = () => {
    const url = new URL(location.href);
    for (const name of ['run', 'result']) url.searchParams.delete(name);
    return url.href;
  };

  const first = Object.fromEntries(new URLSearchParams(location.search));
  addEventListener('fusion-lab', () => {
    if (first.tab === 'lab' && first.experiment) window.fusion.openLab(first);
  }, { once: true });

  function write(where, how) {
    const query = new URLSearchParams(location.search);
    writeLab(query, where.tab);
    for (const [name, value] of [['tab', where.tab], ['result', where.entry], ['run', where.run]]) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    history[how](null, '', `?${query}${location.hash}`);
  }

  function follow() {
    const now = shown();
    if (!now) return;
    if (going) {
      if (!reached || now.tab !== reached.tab || (now.tab !== 'lab' && now.entry !== reached.entry)) return;
      going = false;
      reached = null;
    }
    const before = asked();
    if (same(now, before)) return;
    // A run turns into its result in place: Back leads to where it was begun. The Lab keeps a run beside its settings.
    const inPlace = before.tab === now.tab && (before.run || now.tab === 'lab');
    write(now, inPlace ? 'replaceState' : 'pushState');
  }

  function ask() {
    const where = asked();
    going = true;
    reached = null;
    const query = Object.fromEntries(new URLSearchParams(location.search));
    if (where.tab === 'lab' && query.experiment && lab.experiment) window.fusion.openLab(query);
    if (where.run) window.fusion.follow({ ...where, browser });
    else window.fusion.go(where);
    setTimeout(() => { going = false; }, 20000); // no answer: the address follows the page again
  }

  function showWork() {
    const busy = new Set();
    for (const button of tabs()) {
      const works = Boolean(document.querySelector(`#${button.getAttribute('aria-controls')} .result-card.is-busy`));
      if (works) busy.add(nameOf(button));
      if (works !== 'works' in button.dataset) {
        if (works) button.dataset.works = '';
        else delete button.dataset.works;
      }
    }
    if (busy.size) mark = '● ';
    else if (busyTabs.size) mark = document.hidden ? '✓ ' : '';
    busyTabs = busy;
    window.fusion.worked(busy, cardOf);
    label();
  }

  function label() {
    const title = `${mark}Fusion Studio`;
    if (document.title !== title) document.title = title;
    if (!icon()) return;
    plainIcon ||= icon().href;
    const dot = '%3Ccircle cx=%2212%22 cy=%224%22 r=%224%22 fill=%22%23b42318%22/%3E%3C/svg%3E';
    const href = mark.startsWith('●') ? plainIcon.replace(/%3C\/svg%3E$/i, dot) : plainIcon;
    if (icon().href !== href) icon().href = href;
  }

  let waiting = 0;
  function look() {
    if (waiting) return;
    waiting = setTimeout(() => { waiting = 0; showWork(); follow(); }, 60);
  }

  function begin() {
    if (!document.querySelector('#address') || !tabs().length) { requestAnimationFrame(begin); return; }
    window.fusion.come({ browser, place: kept('place') });
    const { tab, entry, run } = asked();
    if (tab !== 'search' || entry || run) ask();
    new MutationObserver(() => {
      const reply = document.querySelector('#address [data-reply]');
      if (reply && reply.dataset.reply !== heard) {
        heard = reply.dataset.reply;
        reached = { tab: reply.dataset.tab, entry: reply.dataset.entry };
      }
      look();
    }).observe(document.querySelector('#address'), { subtree: true, childList: true });
    new MutationObserver(look).observe(document.querySelector('#tabs'), {
      subtree: true, childList: true, attributes: true, attributeFilter: ['aria-selected', 'class'],
    });
  }

  addEventListener('fusion-addresses', begin, { once: true });
  addEventListener('popstate', ask);
  // Gradio closes its streams at this event, before the person has said whether to leave; who stays goes on seeing the run.
  addEventListener('beforeunload', (event) => {
    if (!busyTabs.size) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, { capture: true });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && mark === '✓ ') { mark = ''; label(); }
  });
})();
