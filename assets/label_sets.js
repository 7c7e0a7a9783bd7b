// Saved label sets: Rename and Delete are confirmed on the page; what is to be done then is an `act` event.
const act = (button) => {
  const set = button.closest('[data-set]'), input = set.querySelector('input');
  if ('turn' in button.dataset) {
    set.dataset.state = button.dataset.turn;
    if (button.dataset.turn === 'rename') { input.value = set.dataset.set; input.select(); }
  } else trigger('act', { act: button.dataset.do, name: set.dataset.set, to: input ? input.value : '' });
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) act(button);
});
element.addEventListener('keydown', (event) => {
  if (event.target.tagName !== 'INPUT' || !['Enter', 'Escape'].includes(event.key)) return;
  event.stopPropagation();
  const wanted = event.key === 'Enter' ? '[data-do=rename]' : '.when-rename [data-turn]';
  act(event.target.closest('[data-set]').querySelector(wanted));
});
