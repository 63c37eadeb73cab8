from web.app import page


def test_the_page_counts_and_lists():
    assert "We sell three things" in page()
    assert "<li>spoon: 1.78</li>" in page()
