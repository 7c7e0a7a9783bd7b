// What gradio leaves out for keys and screen readers: one Tab stop and arrow keys for a choice of one and for the tabs,
// a menu that closes when it is left, names of the tabs in the language that was switched to.
(() => {
  const tabs = () => [...document.querySelectorAll('#tabs [role="tab"][aria-controls]')];

  function tidy() {
    // Radios of one name are a group: the browser gives it one Tab stop and arrow keys.
    for (const group of document.querySelectorAll('fieldset[id]')) {
      for (const radio of group.querySelectorAll('input[type="radio"]')) {
        if (radio.name !== group.id) radio.name = group.id;
      }
    }
    for (const tab of tabs()) {
      const stop = tab.getAttribute('aria-selected') === 'true' ? 0 : -1;
      if (tab.tabIndex !== stop || !tab.hasAttribute('tabindex')) tab.tabIndex = stop;
    }
  }

  // What scrolls sideways is reached by keys.
  function scrollable() {
    for (const part of document.querySelectorAll('.katex-display, .lesson-text pre, .command code, .wide')) {
      if (part.scrollWidth > part.clientWidth && !part.hasAttribute('tabindex')) part.tabIndex = 0;
    }
  }

  const moves = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  document.addEventListener('keydown', (event) => {
    const all = tabs();
    const at = all.indexOf(event.target);
    const move = moves[event.key];
    if (at < 0 || move === undefined) return;
    event.preventDefault();
    const to = Number.isFinite(move) ? (at + move + all.length) % all.length : move > 0 ? all.length - 1 : 0;
    all[to].click();
    all[to].focus();
  });

  // Gradio's menu stays open when Tab leads out of it.
  document.addEventListener('focusout', ({ target, relatedTarget }) => {
    const menu = target.closest?.('#device');
    if (!menu || menu.contains(relatedTarget) || !menu.querySelector('[role="listbox"], ul.options')) return;
    target.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
  });

  function nameTabs() {
    const names = window.fusion.texts[document.documentElement.dataset.lang].tabs;
    const shown = tabs().map((tab) => [tab, tab.dataset.tabId]);
    for (const [button, name] of shown) {
      const words = [...button.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      if (words && names[name] && words.data.trim() !== names[name]) words.data = names[name];
    }
  }

  let waiting = 0;
  const look = () => { waiting ||= setTimeout(() => { waiting = 0; tidy(); scrollable(); nameTabs(); }, 80); };
  function begin() {
    const whole = document.querySelector('gradio-app, .gradio-container');
    if (!whole || !tabs().length) { requestAnimationFrame(begin); return; }
    look();
    new MutationObserver(look).observe(document.documentElement, {
      subtree: true, childList: true, attributes: true, attributeFilter: ['aria-selected', 'data-lang'],
    });
  }
  begin();
})();
