// Keyboard, screen reader and language where gradio's own widgets leave something out: radio groups and the list of tabs
// with one Tab stop and arrow keys, a menu that closes when focus leaves, names in the page's language.
(() => {
  const root = document.documentElement;
  const language = () => root.dataset.lang || 'en';

  // Radios of one question share a name, as HTML asks: the browser then gives them one Tab stop and the arrow keys.
  let n_groups = 0;
  function group(radio) {
    const field = radio.closest('fieldset');
    if (!field || radio.name === field.dataset.group) return;
    const words = field.querySelector('[data-testid="block-info"]');
    field.dataset.group ||= `group-${n_groups += 1}`;
    field.setAttribute('role', 'radiogroup');
    if (words) {
      words.id ||= `${field.dataset.group}-name`;
      field.setAttribute('aria-labelledby', words.id);
    }
    const { checked } = radio;
    radio.name = field.dataset.group;
    radio.checked = checked;
  }

  const tabsOf = (list) => [...list.querySelectorAll('[role="tab"]')].filter((tab) => tab.offsetParent);

  function rove(list) {
    for (const tab of tabsOf(list)) tab.tabIndex = tab.ariaSelected === 'true' ? 0 : -1;
  }

  document.addEventListener('keydown', (event) => {
    const tab = event.target.closest?.('[role="tablist"] [role="tab"]');
    if (tab) {
      const tabs = tabsOf(tab.closest('[role="tablist"]'));
      const at = tabs.indexOf(tab);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = tabs[(to + tabs.length) % tabs.length];
      next.focus();
      next.click();
    }
  });

  // Gradio's menu opens again after the Tab key has left it.
  document.addEventListener('focusout', ({ target }) => {
    if (!target.matches?.('input[role="combobox"]')) return;
    setTimeout(() => {
      if (document.activeElement !== target && target.ariaExpanded === 'true') target.dispatchEvent(new FocusEvent('blur'));
    }, 50);
  });

  // Names that gradio does not turn into the page's language: of tabs not yet opened, and of the ways to give a file.
  function translate() {
    const { tabs, names } = window.fusion;
    const other = language() === 'zh' ? 'en' : 'zh';
    for (const button of document.querySelectorAll('#tabs > .tab-wrapper button')) {
      const words = [...button.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.nodeValue.trim());
      const at = words ? tabs[other].indexOf(words.nodeValue.trim()) : -1;
      if (at >= 0) words.nodeValue = tabs[language()][at];
    }
    for (const part of document.querySelectorAll('button[aria-label]')) {
      const name = names[part.dataset.name || part.ariaLabel];
      if (!name) continue;
      part.dataset.name ||= part.ariaLabel;
      if (part.ariaLabel !== name[language()]) part.ariaLabel = name[language()];
    }
  }

  // What scrolls sideways is reached by keys.
  function scrollable() {
    for (const part of document.querySelectorAll('.katex-display, .lesson-text pre, .command code, .wide')) {
      if (part.scrollWidth > part.clientWidth && !part.hasAttribute('tabindex')) part.tabIndex = 0;
    }
  }

  function look() {
    document.querySelectorAll('fieldset input[type="radio"]').forEach(group);
    document.querySelectorAll('[role="tablist"]').forEach(rove);
    translate();
    scrollable();
  }

  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; look(); });
  }).observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ['aria-selected', 'data-lang'] });
  addEventListener('resize', scrollable);
})();
