// The form works without this; with it a login leads to the view that was asked for.

document.forms[0].action += location.hash;
