// A click on [data-NAME] is the event CLICKS[NAME]; it carries the data of what was clicked, and its text.
element.addEventListener('click', ({ target }) => {
  for (const [name, event] of Object.entries(CLICKS)) {
    const clicked = target.closest(`[data-${name}]`);
    if (clicked) trigger(event, { ...clicked.dataset, text: clicked.innerText.trim() });
  }
});
