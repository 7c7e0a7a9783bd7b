// Walking through the folders of this computer: a click is the event `go`.
let walked = false;
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-go]');
  if (!button) return;
  walked = true;
  trigger('go', { folder: button.dataset.go });
});
// The list of folders is one Tab stop; arrow keys go through it.
element.addEventListener('keydown', (event) => {
  const rows = [...element.querySelectorAll('li button')];
  const at = rows.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (to === undefined || !rows.length || !event.target.matches('li button, .folder-at')) return;
  event.preventDefault();
  const next = rows[Math.min(Math.max(to, 0), rows.length - 1)];
  for (const row of rows) row.tabIndex = row === next ? 0 : -1;
  next.focus();
});
// The button that was pressed is gone with its level: the name of the new one takes the focus, and is read out.
new MutationObserver(() => {
  if (!walked) return;
  walked = false;
  element.querySelector('.folder-at')?.focus();
}).observe(element, { childList: true, subtree: true });
